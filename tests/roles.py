"""The roles of layers that the transformer families declare."""

ROLES = ('norm', 'attn', 'ffn')

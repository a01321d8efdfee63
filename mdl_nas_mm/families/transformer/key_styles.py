"""What keys of published transformers have in common."""

# Ends of keys whose rows are all of q, then k, then v.
QKV = ('.attn.qkv.weight', '.attn.qkv.bias')
# OpenMMLab's names.
OPENMMLAB = (
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'\.ffn\.layers\.0\.0\.', '.mlp.fc1.'),
    (r'\.ffn\.layers\.1\.', '.mlp.fc2.'),
)

"""How to slice the weights of one subnet and task out of a supernet, channel by channel.

Written from the description of the sharing policies, and on purpose as slow and as literal as
they are: a loop over output channels. Nothing of the merging or of the deposit is used here.
"""

import math

import torch


def shared_channels(policy, ratio, channels, scores=None):
    """For each of the first output channels of a layer, whether it is the shared one.

    Args:
        policy: has ``type`` and, for the mask, ``threshold``.
        scores: the layer's scores of these channels, for the mask.
    """
    if policy.type == 'AllShared':
        return [True] * channels
    if policy.type == 'AllSpecific':
        return [False] * channels
    count = math.floor(ratio * channels + 0.5)
    if policy.type == 'Sequential':
        return [j < count for j in range(channels)]
    if policy.threshold == 'score':
        return [score >= ratio for score in scores.tolist()]
    order = sorted(range(channels), key=lambda j: (-scores[j].item(), j))
    return [j in order[:count] for j in range(channels)]


class Slicer:
    """Slices with autograd, so that gradients of the plain model reach the tensors of ``state``.

    Args:
        state: the supernet's state dict, or its parameters by name.
        sharing: kind of layer ('norm', 'attn', 'ffn') -> policy.
        leaves: where given, each layer under the mask policy becomes m * W + (1 - m) * W_spe with
            m a new leaf of zeros and ones, (groups, channels in use), put here by its prefix.

    Attributes:
        out: the state dict of the plain model, as far as it was sliced.
    """

    def __init__(self, state, sharing, task, leaves=None):
        self.state, self.sharing, self.task, self.leaves = state, sharing, task, leaves
        self.out = {}

    def wholly_shared(self, name, *ends):
        """The first elements of a parameter, along each dimension up to its end."""
        if name in self.state:
            self.out[name] = self.state[name][tuple(slice(end) for end in ends)]

    def own(self, name, *ends):
        """The same of what a task alone has, where it has it; or all, where there are no tasks."""
        prefix, _, leaf = name.rpartition('.')
        for source in (f'{prefix}.specific.{self.task}.{leaf}', name):
            if source in self.state:
                self.out[name] = self.state[source][tuple(slice(end) for end in ends)]

    def layer(self, prefix, role, ratio, channels, columns=None, groups=1):
        """Weight and bias of one layer."""
        if not any(key.startswith(f'{prefix}.') for key in self.state):
            return
        masks = self._masks(prefix, role, ratio, channels, groups)
        blend = None
        if self.leaves is not None and self.sharing[role].type == 'Mask':
            dtype = self.state[f'{prefix}.score'].dtype
            blend = torch.tensor(masks, dtype=dtype, requires_grad=True)
            self.leaves[prefix] = blend
        for leaf in ('weight', 'bias'):
            shared = self.state.get(f'{prefix}.{leaf}')
            own = self.state.get(f'{prefix}.specific.{self.task}.{leaf}')
            if shared is None and own is None:
                continue
            rows = []
            for group in range(groups):
                size = len(own if shared is None else shared) // groups
                for j in range(channels):
                    where = group * size + j
                    if leaf == 'weight' and columns is not None:
                        where = (where, slice(columns))
                    if blend is not None:
                        m = blend[group, j]
                        rows.append(m * shared[where] + (1 - m) * own[where])
                    else:
                        rows.append((shared if masks[group][j] else own)[where])
            self.out[f'{prefix}.{leaf}'] = torch.stack(rows)

    def _masks(self, prefix, role, ratio, channels, groups):
        policy, masks = self.sharing[role], []
        for group in range(groups):
            scores = None
            if policy.type == 'Mask':
                stored = self.state[f'{prefix}.score']
                size = len(stored) // groups
                scores = stored[group * size : group * size + channels].detach()
            masks.append(shared_channels(policy, ratio, channels, scores))
        return masks

    def block(self, prefix, block, dim, head_dim):
        """Norms, attention and feed-forward network of one block, without positions."""
        inner, hidden = block.num_heads * head_dim, int(dim * block.mlp_ratio)
        attn, ffn = block.attn_share_ratio, block.ffn_share_ratio
        self.layer(f'{prefix}.norm1', 'norm', attn, dim)
        self.layer(f'{prefix}.attn.qkv', 'attn', attn, inner, dim, groups=3)
        # Where q, k and v have no bias each, but one behind the other.
        self.layer(f'{prefix}.attn.qkv_bias', 'attn', attn, 3 * inner)
        if f'{prefix}.attn.qkv_bias.bias' in self.out:
            self.out[f'{prefix}.attn.qkv.bias'] = self.out.pop(f'{prefix}.attn.qkv_bias.bias')
        self.layer(f'{prefix}.attn.proj', 'attn', attn, dim, inner)
        self.layer(f'{prefix}.norm2', 'norm', ffn, dim)
        self.layer(f'{prefix}.mlp.fc1', 'ffn', ffn, hidden, dim)
        self.layer(f'{prefix}.mlp.fc2', 'ffn', ffn, dim, hidden)

"""An extracted model's backbone against the same shapes written by hand with plain torch layers.

    python benchmarks/extracted.py [--rounds N] [--write benchmarks/results/NAME.json]

Forward passes with the same weights at 224 x 224, one thread, in turn: by hand, as what ``extract``
writes (upstream's class where the sizes fit one), and as the elastic class with a fixed
architecture. DeiT-S and Swin-T, and a Swin of the same cost whose blocks differ, which no stock
class fits. The largest difference of the outputs shows that all compute the same.
"""

from __future__ import annotations

import functools

import mmpretrain.models  # noqa: F401
import torch
import torch.nn.functional as F
from measuring import medians, parser, ratios, report
from mmengine.registry import MODELS
from torch import Tensor, nn

from mdl_nas_mm.deposit.extract import stock_weights
from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.family import NoStockClassError
from mdl_nas_mm.families import ElasticSwin, ElasticViT
from mdl_nas_mm.families.transformer import StageSpec, hidden_features

SIZE = (224, 224)
BATCH = 4
SWIN_T = [
    dict(embed_dim=96 << s, depth=depth, num_heads=3 << s, mlp_ratio=4)
    for s, depth in enumerate((2, 2, 6, 2))
]
# As searches find them: heads and MLP ratios are each block's own.
SEARCHED = [
    dict(embed_dim=88, depth=2, num_heads=[3, 2], mlp_ratio=[3.5, 4]),
    dict(embed_dim=184, depth=2, num_heads=[6, 5], mlp_ratio=[3, 4]),
    dict(
        embed_dim=384, depth=6, num_heads=[12, 11, 10, 12, 11, 12], mlp_ratio=[4, 3, 4, 3.5, 4, 3]
    ),
    dict(embed_dim=736, depth=2, num_heads=[24, 20], mlp_ratio=[3.5, 4]),
]


class Attention(nn.Module):
    """Of tokens (..., N, C), with a bias of pairs of tokens where there is one."""

    def __init__(self, dim: int, heads: int, head_dim: int, window: int = 0) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.qkv = nn.Linear(dim, 3 * heads * head_dim)
        self.proj = nn.Linear(heads * head_dim, dim)
        if window:
            offsets = 2 * window - 1
            self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets**2, heads))
            places = torch.cartesian_prod(torch.arange(window), torch.arange(window))
            rows, columns = (places[:, None] - places + window - 1).unbind(-1)
            self.register_buffer('index', rows * offsets + columns, persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, self.head_dim))
        q, k, v = qkv.movedim(-3, 0).transpose(-2, -3)
        bias = None
        if hasattr(self, 'index'):
            bias = self.relative_position_bias_table[self.index].permute(2, 0, 1)
            bias = bias[None] if mask is None else bias + mask
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(x.transpose(-2, -3).flatten(-2))


class MLP(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm; ``attend`` runs the attention on normalised tokens or maps."""

    def __init__(self, dim: int, attn: Attention, hidden: int, eps: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps), nn.LayerNorm(dim, eps)
        self.attn, self.mlp = attn, MLP(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def attend(self, x: Tensor) -> Tensor:
        return self.attn(x)


class PlainViT(nn.Module):
    def __init__(self, stage: StageSpec, grid: int, patch: int, head_dim: int) -> None:
        super().__init__()
        dim = stage.embed_dim
        self.patch_embed = nn.ModuleDict(dict(proj=nn.Conv2d(3, dim, patch, patch)))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, grid**2 + 1, dim))
        self.blocks = nn.Sequential(
            *(
                Block(
                    dim,
                    Attention(dim, block.num_heads, head_dim),
                    hidden_features(dim, block.mlp_ratio),
                    1e-6,
                )
                for block in stage.blocks
            )
        )
        self.norm = nn.LayerNorm(dim, 1e-6)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed['proj'](images).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        return self.norm(self.blocks(x))[:, 0]


class SwinBlock(Block):
    """For maps (B, H, W, C) of whole windows and of one size."""

    def __init__(self, *args, window: int, shift: int, side: int) -> None:
        super().__init__(*args)
        self.window, self.shift = window, shift
        if shift:
            part = torch.zeros(side)
            part[-window:-shift], part[-shift:] = 1, 2
            parts = self.cut((3 * part[:, None] + part)[None, :, :, None]).squeeze(-1)
            mask = (parts[0, :, None, :, None] != parts[0, :, None, None, :]) * -100.0
            self.register_buffer('mask', mask, persistent=False)

    def cut(self, x: Tensor) -> Tensor:
        """Maps to windows (B, windows, N, C)."""
        windows = (-1, self.window)
        x = x.unflatten(2, windows).unflatten(1, windows).transpose(2, 3)
        return x.flatten(3, 4).flatten(1, 2)

    def attend(self, x: Tensor) -> Tensor:
        count = x.shape[1] // self.window
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        x = self.attn(self.cut(x), self.mask if self.shift else None)
        x = x.unflatten(1, (count, count)).unflatten(3, (self.window, self.window))
        x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return x.roll((self.shift, self.shift), (1, 2)) if self.shift else x


class Merging(nn.Module):
    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, out_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).permute(0, 1, 3, 5, 2, 4)
        return self.reduction(self.norm(x.flatten(3)))


class PlainSwin(nn.Module):
    def __init__(
        self, stages: tuple[StageSpec, ...], side: int, patch: int, window: int, head_dim: int
    ) -> None:
        super().__init__()
        dims = [stage.embed_dim for stage in stages]
        proj = nn.Conv2d(3, dims[0], patch, patch)
        self.patch_embed = nn.ModuleDict(dict(proj=proj, norm=nn.LayerNorm(dims[0])))
        self.stages = nn.ModuleList()
        for s, stage in enumerate(stages):
            parts = nn.ModuleDict(dict(blocks=nn.Sequential()))
            for i, block in enumerate(stage.blocks):
                shift = window // 2 if i % 2 and side > window else 0
                attn = Attention(dims[s], block.num_heads, head_dim, window)
                hidden = hidden_features(dims[s], block.mlp_ratio)
                args = (dims[s], attn, hidden, 1e-5)
                parts['blocks'].append(SwinBlock(*args, window=window, shift=shift, side=side))
            if s + 1 < len(stages):
                parts['downsample'] = Merging(dims[s], dims[s + 1])
            self.stages.append(parts)
            side //= 2
        self.norm3 = nn.LayerNorm(dims[-1])

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed['norm'](self.patch_embed['proj'](images).permute(0, 2, 3, 1))
        for parts in self.stages:
            x = parts['blocks'](x)
            if 'downsample' in parts:
                x = parts['downsample'](x)
        return self.norm3(x).permute(0, 3, 1, 2).contiguous()


def build(name: str) -> dict[str, nn.Module]:
    """The same model by hand, as it is extracted and as the elastic class."""
    torch.manual_seed(0)
    if name == 'DeiT-S':
        arch = dict(embed_dim=384, depth=12, num_heads=6, mlp_ratio=4)
        elastic: ElasticBackbone = ElasticViT(arch=arch, max_relative_position=0)
        by_hand: nn.Module = PlainViT(elastic.arch.stages[0], SIZE[0] // 16, 16, 64)
    else:
        arch = dict(stages=SWIN_T if name == 'Swin-T' else SEARCHED)
        elastic = ElasticSwin(arch=arch, out_indices=(3,))
        by_hand = PlainSwin(elastic.arch.stages, SIZE[0] // 4, 4, 7, 32)
    by_hand.load_state_dict(elastic.state_dict())
    models = dict(by_hand=by_hand, elastic=elastic)
    try:
        family = elastic.family
        stock = MODELS.build(family.stock_model(elastic, 'bench', {})['backbone'])
        stock.load_state_dict(stock_weights(family, stock, elastic.state_dict()))
        models['stock'] = stock
    except NoStockClassError as error:
        print(f'{name}: {error}')
    for model in models.values():
        model.eval()
    return models


@torch.no_grad()
def measure(name: str, rounds: int) -> dict[str, object]:
    models, images = build(name), torch.randn(BATCH, 3, *SIZE)
    outputs = {kind: model(images) for kind, model in models.items()}
    expected = outputs.pop('by_hand')
    seconds = medians({k: functools.partial(m, images) for k, m in models.items()}, rounds)
    return dict(
        largest_difference=max((out[0] - expected).abs().max().item() for out in outputs.values()),
        seconds_by_hand=round(seconds['by_hand'], 3),
        ratios=ratios(seconds, 'by_hand'),
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--rounds', type=int, default=15)
    args = options.parse_args()
    torch.set_num_threads(1)
    names = ('DeiT-S', 'Swin-T', 'searched Swin')
    report(args, dict(seed=0, **{name: measure(name, args.rounds) for name in names}))


if __name__ == '__main__':
    main()

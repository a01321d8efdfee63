"""Architectures as frozen values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Real

# Far beyond any architecture; a number past these is damage or malice.
MAX_STAGES = 16
MAX_BLOCKS = 1000
MAX_SIZE = 2**16


@dataclass(frozen=True)
class BlockSpec:
    """One transformer block.

    Attributes:
        num_heads: attention heads; the q, k and v widths are ``num_heads * head_dim`` each.
        mlp_ratio: hidden width of the feed-forward network over the embedding width.
        attn_share_ratio: share ratio of the attention layers and their norm, in [0, 1].
        ffn_share_ratio: share ratio of the feed-forward layers and their norm, in [0, 1].
    """

    num_heads: int
    mlp_ratio: float
    attn_share_ratio: float
    ffn_share_ratio: float


@dataclass(frozen=True)
class StageSpec:
    """Consecutive blocks of one embedding width (a ViT has one stage, a Swin four)."""

    embed_dim: int
    blocks: tuple[BlockSpec, ...]


@dataclass(frozen=True)
class SubnetSpec:
    """One architecture: hashable, comparable, JSON-round-tripping; knows nothing of torch."""

    stages: tuple[StageSpec, ...]

    @property
    def depth(self) -> int:
        """Blocks over all stages."""
        return sum(len(stage.blocks) for stage in self.stages)

    @classmethod
    def from_dict(cls, data: Mapping) -> SubnetSpec:
        """Reads ``to_dict``'s form, or a single stage written flat as in a config.

        A stage is ``dict(embed_dim=, depth=, num_heads=, mlp_ratio=, share_ratio=)``; the last
        three may be one number for all blocks or a list with one number a block. Instead of
        ``share_ratio``, ``attn_share_ratio`` and ``ffn_share_ratio`` may be given; without the
        latter, the former is meant for both.

        Raises:
            ValueError: a key is missing or unknown, a list is not as long as the stage is deep, a
                width or number of heads is not whole, or a share ratio lies outside [0, 1].
        """
        if not isinstance(data, Mapping):
            raise ValueError(f'architecture: expected a dict, not {type(data).__name__}')
        stages = data['stages'] if 'stages' in data else [data]
        if not isinstance(stages, (list, tuple)) or not 0 < len(stages) <= MAX_STAGES:
            raise ValueError(f"architecture: 'stages' is no list of 1 to {MAX_STAGES} stages")
        return cls(tuple(_stage_from_dict(stage, i) for i, stage in enumerate(stages)))

    def to_dict(self) -> dict:
        """The canonical JSON-able form."""
        return {
            'stages': [
                {
                    'embed_dim': stage.embed_dim,
                    'depth': len(stage.blocks),
                    'num_heads': [block.num_heads for block in stage.blocks],
                    'mlp_ratio': [block.mlp_ratio for block in stage.blocks],
                    'attn_share_ratio': [block.attn_share_ratio for block in stage.blocks],
                    'ffn_share_ratio': [block.ffn_share_ratio for block in stage.blocks],
                }
                for stage in self.stages
            ]
        }

    def __str__(self) -> str:
        return json.dumps(self.to_dict())


_STAGE_KEYS = {
    'embed_dim',
    'depth',
    'num_heads',
    'mlp_ratio',
    'share_ratio',
    'attn_share_ratio',
    'ffn_share_ratio',
}


def _stage_from_dict(data: Mapping, index: int) -> StageSpec:
    where = f'stage {index} of the architecture'
    if not isinstance(data, Mapping):
        raise ValueError(f'{where}: expected a dict, not {type(data).__name__}')
    unknown = sorted(map(str, set(data) - _STAGE_KEYS))
    if unknown:
        raise ValueError(f'{where}: unknown key {unknown[0]!r}, expected {sorted(_STAGE_KEYS)}')
    missing = [key for key in ('embed_dim', 'num_heads', 'mlp_ratio') if key not in data]
    if missing:
        raise ValueError(f'{where}: {missing[0]!r} is missing')
    depth = data.get('depth')
    if depth is None:
        if not isinstance(data['num_heads'], (list, tuple)):
            raise ValueError(f"{where}: 'depth' is missing")
        depth = len(data['num_heads'])
    if not isinstance(depth, int) or isinstance(depth, bool) or not 0 <= depth <= MAX_BLOCKS:
        raise ValueError(f'{where}: depth {depth!r} is no number of at most {MAX_BLOCKS} blocks')
    attn = data.get('attn_share_ratio', data.get('share_ratio', 1.0))
    share_ratios = dict(attn_share_ratio=attn, ffn_share_ratio=data.get('ffn_share_ratio', attn))
    columns = [
        _per_block(data['num_heads'], depth, 'num_heads', where, int),
        _per_block(data['mlp_ratio'], depth, 'mlp_ratio', where, float),
    ]
    for key, value in share_ratios.items():
        ratios = _per_block(value, depth, key, where, float)
        for ratio in ratios:
            check_ratio(ratio, f'{where}, {key}')
        columns.append(ratios)
    (embed_dim,) = _per_block(data['embed_dim'], 1, 'embed_dim', where, int)
    return StageSpec(embed_dim, tuple(BlockSpec(*row) for row in zip(*columns)))


def _per_block(value, depth: int, key: str, where: str, kind: type) -> list:
    if not isinstance(value, (Real, list, tuple)):
        raise ValueError(f'{where}: {key} is a {type(value).__name__}, not a number or a list')
    values = [value] * depth if isinstance(value, Real) else list(value)
    if len(values) != depth:
        raise ValueError(f'{where}: {key} has {len(values)} values for {depth} blocks')
    for v in values:
        is_number = isinstance(v, Real) and not isinstance(v, bool)
        # What is no share ratio is said by ``check_ratio``.
        if not is_number or not (abs(v) <= MAX_SIZE or key.endswith('share_ratio')):
            raise ValueError(f'{where}: {key} {v!r} is no size')
        if kind is int and int(v) != v:
            raise ValueError(f'{where}: {key} {v} is not a whole number')
    return [kind(v) for v in values]


def check_ratio(ratio: float, where: str) -> None:
    """Raises ValueError unless the share ratio lies in [0, 1]."""
    if not 0 <= ratio <= 1:
        raise ValueError(f'{where}: share ratio {ratio} is outside [0, 1]')


class JointSpec(Mapping):
    """One architecture a task: an immutable, hashable mapping from task to SubnetSpec."""

    def __init__(self, specs: Mapping[str, SubnetSpec]) -> None:
        self._specs = dict(specs)

    def __getitem__(self, task: str) -> SubnetSpec:
        return self._specs[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __hash__(self) -> int:
        return hash(frozenset(self._specs.items()))

    def __repr__(self) -> str:
        return f'JointSpec({self._specs!r})'

    @classmethod
    def from_dict(cls, data: Mapping) -> JointSpec:
        """Reads ``to_dict``'s form: task -> architecture."""
        return cls({task: SubnetSpec.from_dict(spec) for task, spec in data.items()})

    def to_dict(self) -> dict:
        """The canonical JSON-able form."""
        return {task: spec.to_dict() for task, spec in self._specs.items()}

    def check_tasks(self, tasks: tuple[str, ...]) -> None:
        """Raises ValueError unless this covers exactly the given tasks."""
        for task in tasks:
            if task not in self._specs:
                raise ValueError(f'joint spec: task {task!r} is missing, it has {sorted(self)}')
        for task in self:
            if task not in tasks:
                raise ValueError(f'joint spec: unknown task {task!r}, expected {sorted(tasks)}')


def hidden_features(embed_dim: int, mlp_ratio: float) -> int:
    """Hidden width of a feed-forward network."""
    return int(embed_dim * mlp_ratio)


def shared_count(share_ratio: float, channels: int) -> int:
    """How many of the first ``channels`` are shared at a share ratio (Eq. 4, rounded half up)."""
    return int(share_ratio * channels + 0.5)

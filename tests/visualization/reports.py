"""Reports of searches, as ``tools/search.py`` leaves them, with drawn scores."""

from __future__ import annotations

import random
from collections.abc import Sequence

from roles import ROLES

from mdl_nas_mm.families.swin import SWIN, SwinLayout, SwinShape
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.families.vit import ViTLayout, ViTShape
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import JointSpec, Layout, Ledger, SearchSpace
from mdl_nas_mm.spec.layer_counts import layer_counts

RATIOS = dict(attn_share_ratio=(0.5, 0.7, 0.9), ffn_share_ratio=(0.5, 0.7, 0.9))
VIT = ViTLayout(
    SearchSpace.from_config(
        dict(RATIOS, embed_dim=(528, 576, 624), depth=(3, 4), num_heads=(8, 9, 10))
        | dict(mlp_ratio=(3, 3.5, 4)),
        TRANSFORMER,
    ),
    ViTShape(),
)
SWIN = SwinLayout(SWIN.space('swin-t-elastic'), SwinShape())


def make_report(
    tasks: Sequence[str], layout: Layout, with_random: bool = True, front: int = 30
) -> dict:
    """The report of a search that ran for six generations."""
    rng = random.Random(0)
    joint = JointSpec({task: layout.space.sample(rng) for task in tasks})
    heads = {task: 4_000_000 * (i + 1) for i, task in enumerate(tasks)}
    counted = layer_counts(
        Ledger(layout, Sharing.from_config('Sequential', ROLES), heads=heads), joint
    )
    total = counted['counts']['total']
    scores = {task: rng.uniform(30, 80) for task in tasks}
    s_score = sum(scores.values())
    return dict(
        tasks=list(tasks),
        metrics={task: 'accuracy/top1' for task in tasks},
        weights={task: 1.0 for task in tasks},
        budget=int(total * 1.05),
        with_heads=True,
        constraints=['det: latency at most 40 ms'],
        pass_groups=[],
        chosen=dict(joint_spec=joint.to_dict(), s_score=s_score, total=total, scores=scores),
        generations=_generations(rng, s_score, total, 6),
        random=_generations(rng, s_score - 2, total, 4) if with_random else None,
        front=[
            dict(
                total=int(total * (0.6 + 0.4 * (i + 1) / front)),
                s_score=s_score - 9 * (1 - (i + 1) / front) ** 2,
                scores=scores,
            )
            for i in range(front)
        ],
        **counted,
        evaluations=1800,
        saved_by_cache=460,
        failed=[],
        seconds=4830.0,
    )


def _generations(rng: random.Random, score: float, total: int, count: int) -> list[dict]:
    entries = []
    for i in range(count):
        best = score - 4 * (1 - (i + 1) / count) ** 2
        mean = best - rng.uniform(1, 3)
        entry = dict(generation=i, candidates=50, mean=mean, best=best, total=total)
        entries.append(dict(entry, evaluations=150 * (i + 1)))
    return entries

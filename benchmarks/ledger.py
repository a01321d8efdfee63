"""Joint specs of three tasks that are counted in a second, on one core.

    OMP_NUM_THREADS=1 python benchmarks/ledger.py [--write benchmarks/results/NAME.json]

Times new, random joint specs of a published space, from ``JointSpec`` values to totals, in turn
for every policy, and takes the median of the rounds. The ledger that counts one by one is timed
beside, for the ratio.
"""

from __future__ import annotations

import random
import statistics
import time

import numpy as np
from measuring import parser, report

from mdl_nas_mm.families.vit import VIT, ViTLayout, ViTShape
from mdl_nas_mm.sharing import Sharing
from mdl_nas_mm.spec import BatchLedger, JointSpec, Ledger

ROLES = VIT.dimensions.roles
POLICIES = {
    'Sequential': 'Sequential',
    'Mask': 'Mask',
    'Mask, ratio': dict(type='Mask', threshold='ratio'),
}


def build(sharing, seed: int = 0) -> Ledger:
    """The ledger of the paper's ViT space with random scores."""
    layout = ViTLayout(VIT.space('mdl-nas-b'), ViTShape())
    sharing, generator = Sharing.from_config(sharing, ROLES), np.random.default_rng(seed)
    scores = {
        use.layer: generator.random(use.groups * use.max_channels, np.float32)
        for use in layout.uses(layout.space.largest())
        if sharing[use.role].has_scores
    }
    return Ledger(layout, sharing, scores)


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--count', type=int, default=4000, help='joint specs a round')
    options.add_argument('--rounds', type=int, default=7)
    args = options.parse_args()
    rng, space = random.Random(0), VIT.space('mdl-nas-b')

    def sample_joints(count: int) -> list[JointSpec]:
        return [JointSpec({task: space.sample(rng) for task in 'abc'}) for _ in range(count)]

    ledgers = {name: build(sharing) for name, sharing in POLICIES.items()}
    batches = {name: BatchLedger(ledger) for name, ledger in ledgers.items()}
    for batch in batches.values():
        batch.totals(sample_joints(500))
    rates = {name: [] for name in POLICIES}
    single = {name: [] for name in POLICIES}
    for _ in range(args.rounds):
        for name in POLICIES:
            joints = sample_joints(args.count)
            start = time.perf_counter()
            batches[name].totals(joints)
            rates[name].append(args.count / (time.perf_counter() - start))
            start = time.perf_counter()
            for joint in joints[:50]:
                ledgers[name].count(joint)
            single[name].append(50 / (time.perf_counter() - start))
    result = dict(
        per_second={name: round(statistics.median(values)) for name, values in rates.items()},
        one_by_one={name: round(statistics.median(values)) for name, values in single.items()},
    )
    report(args, result)


if __name__ == '__main__':
    main()

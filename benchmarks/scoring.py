"""Scoring subnets in a search against scoring the extracted models.

    python benchmarks/scoring.py [--threads N ...] [--write benchmarks/results/NAME.json]

The demo's three tasks with untrained weights (its data is written first, where it is not there),
and a classifier of AutoFormer-S's size on 64 of the digits at 224 x 224, under the mask policy: a
random subnet on images that are held out for the search, the whole path of ``SupernetEvaluator``
with loading and metrics, and the same images by the task's model out of a deposit. Rates above 1
mean that the search scores faster. ``copying_percent`` is what putting the subnet's weights
together, once for all images, takes of the time.
"""

from __future__ import annotations

import random
import tempfile
from functools import partial
from pathlib import Path

from measuring import arguments, each_thread_count, medians, report
from mmengine.config import Config
from sandwich import untrained

from mdl_nas_mm.apis.tasks import task_infos
from mdl_nas_mm.datasets import write_demo_data
from mdl_nas_mm.deposit import Deposit, pack
from mdl_nas_mm.families.vit.spaces import SPACES
from mdl_nas_mm.search import SupernetEvaluator
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import evaluate, resolve_joint_config
from mdl_nas_mm.utils.quiet import quiet

ROOT = Path(__file__).parents[1]
# The one whose weights take longest to put together.
POLICY = 'Mask'


def demo() -> Config:
    """The demo's joint config."""
    cfg = Config.fromfile(ROOT / 'configs/demo/demo_joint.py')
    cfg.backbone.sharing = POLICY
    return resolve_joint_config(cfg)


def large() -> Config:
    """The demo's classifier alone, as large as AutoFormer-S."""
    cfg = Config.fromfile(ROOT / 'configs/demo/demo_joint.py')
    space = dict(SPACES['autoformer-s'], share_ratio=(0.3, 0.5, 0.7))
    cfg.backbone = dict(type='ElasticViT', space=space, sharing=POLICY)
    cls = cfg.tasks.cls
    cls.backbone = dict(out_type='avg_featmap')
    cls.model = dict(head=dict(in_channels=max(space['embed_dim'])))
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=224),
        dict(type='PackInputs'),
    ]
    dataset = dict(data_prefix='search', pipeline=pipeline, indices=64)
    cls.search_dataloader = dict(batch_size=16, dataset=dataset)
    cfg.tasks = dict(cls=cls)
    return resolve_joint_config(cfg)


def compare(cfg: Config, rounds: int) -> dict[str, dict[str, float]]:
    """Task -> the search's rate over the extracted model's, and the share of copying."""
    model, chance, found = untrained(cfg), random.Random(0), {}
    evaluator = SupernetEvaluator(model, cfg)
    joint = JointSpec({task: model.backbone.space.sample(chance) for task in cfg.tasks})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'tasks.safetensors'
        pack(path, model, joint, cfg.model.backbone, task_infos(cfg, {}))
        extracted = {task: Deposit(path).load_task(task) for task in cfg.tasks}
    for task, spec in joint.items():
        step, evaluation = extracted[task].val_step, evaluator.evaluations[task].tasks[task]

        def alone(step=step, evaluation=evaluation) -> None:
            with quiet():
                evaluate(step, evaluation)

        cases = dict(
            search=partial(evaluator, {task: spec}),
            extracted=alone,
            copying=partial(model.subnet, task, spec),
        )
        seconds = medians(cases, rounds)
        found[task] = dict(
            images=len(evaluation.loader.dataset),
            rate_over_extracted=round(seconds['extracted'] / seconds['search'], 3),
            copying_percent=round(100 * seconds['copying'] / seconds['search'], 2),
        )
    return found


def main() -> None:
    args = arguments(__doc__)
    write_demo_data(ROOT / 'data/demo', progress=False)

    def measure() -> dict[str, dict[str, dict[str, float]]]:
        return {build.__name__: compare(build(), args.rounds) for build in (demo, large)}

    report(args, dict(seed=0, search=each_thread_count(measure, args.threads)))


if __name__ == '__main__':
    main()

"""What the paper's whole training would take and cost on GPUs: a calculation, not a measurement.

    python benchmarks/paper_cost.py [--write benchmarks/results/NAME.json]

Multiply-adds in closed form, times steps, images and GPUs of the configs in configs/mdl_nas, times
what the constants below assume. Nothing was run on a GPU.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import statistics
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config

from mdl_nas_mm.apis.analyze import analyze
from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.search.settings import EvolutionSettings
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config, task_scope
from mdl_nas_mm.utils.quiet import quiet

CONFIGS = Path(__file__).parents[1] / 'configs/mdl_nas'
# (10^12 operations a second of a GPU's data sheet, the part of them that is used, dollars an hour);
# the last two are assumptions.
GPUS = {
    'V100, float32': (15.7, 0.6, 2.5),
    'V100, float16': (125, 0.3, 2.5),
    'H100, bfloat16': (989, 0.3, 3.0),
}
# A pass is a forward and a backward pass, which takes twice as much.
PASS = 3
# A subnet in a supernet over a plain model, times Mask over AllShared (docs/speed.md, processor).
OVERHEAD = 1.014 * 1.038
# COCO's images as 4 to 3, at five shorter sides that stand for 400 to 1400, the longer at most
# 1600, padded to a multiple of 32 (coco_multi_scale.py).
SHORT_SIDES = (500, 700, 900, 1100, 1300)
TRAIN_SIZES = dict(
    cls=[(224, 224)],
    det=[
        tuple(-(-side // 32) * 32 for side in (short, short * 4 // 3))
        for short in (min(short, 1200) for short in SHORT_SIDES)
    ],
    seg=[(512, 512)],
)
SEARCH_SIZES = dict(cls=[(224, 224)], det=[(800, 1088)], seg=[(512, 688)])
# Boxes and masks that the detector's heads see in a training image; in a test 1000 and 100.
TRAIN_REGIONS = (512, 128)
RANDOM_SPECS = 100
COST = ('hours', 'gpu_hours', 'dollars')


def load(name: str) -> Config:
    return resolve_joint_config(Config.fromfile(CONFIGS / name), check_files=False)


def image_macs(cfg: Config, sizes: Mapping[str, list], specs: list) -> dict[str, float]:
    """Task -> multiply-adds of one image and one subnet, the mean over sizes and subnets."""
    with task_scope('mdl_nas_mm'), torch.device('meta'):
        backbone = MODELS.build(cfg.model.backbone)
    joint = JointSpec(dict.fromkeys(cfg.tasks, backbone.space.largest()))
    found = {task: [] for task in cfg.tasks}
    for i in range(max(len(sizes[task]) for task in cfg.tasks)):
        now = {task: sizes[task][i % len(sizes[task])] for task in cfg.tasks}
        report = analyze(cfg, joint, now)['tasks']
        for task, size in now.items():
            behind = report[task]['neck_flops'] + report[task]['head_flops']
            own = statistics.mean(backbone.flops(task, spec, size) for spec in specs)
            found[task].append(own + behind)
    return {task: statistics.mean(values) for task, values in found.items()}


def training(name: str) -> dict:
    """One training of a config: operations of a step by task, steps, GPUs."""
    cfg = load(name)
    if 'det' in cfg.tasks:
        cfg = copy.deepcopy(cfg)
        test = cfg.model.tasks.det.model.test_cfg
        test.rpn.max_per_img, test.rcnn.max_per_img = TRAIN_REGIONS
    with task_scope('mdl_nas_mm'), torch.device('meta'):
        space = MODELS.build(cfg.model.backbone).space
    rng = random.Random(0)
    sampled = [space.sample(rng) for _ in range(RANDOM_SPECS)]
    # Of the four subnets of a sandwich one is the smallest, one the largest.
    specs = sampled + [space.smallest(), space.largest()] * (RANDOM_SPECS // 2)
    macs = image_macs(cfg, TRAIN_SIZES, specs)
    groups = cfg.groups
    batches = {t: cfg.train_dataloader[t].batch_size * groups[t] for t in cfg.tasks}
    passes = 2 + (cfg.train_cfg.get('sampler') or {}).get('num_random', 2)
    return dict(
        steps=cfg.train_cfg.max_iters,
        images_a_step=batches,
        gpus=dict(groups),
        image_forward_gigamacs={t: round(m / 1e9, 1) for t, m in macs.items()},
        step_petaflop={
            t: round(2 * PASS * passes * macs[t] * batches[t] / 1e15, 4) for t in cfg.tasks
        },
    )


def searching(name: str, gpus: int) -> dict:
    """The search as a training without backward pass, each evaluation a step."""
    cfg, settings = load(name), EvolutionSettings()
    with task_scope('mdl_nas_mm'), torch.device('meta'):
        space = MODELS.build(cfg.model.backbone).space
    rng = random.Random(0)
    macs = image_macs(cfg, SEARCH_SIZES, [space.sample(rng) for _ in range(RANDOM_SPECS)])
    images = dict(Config.fromfile(CONFIGS / '_base_/held_out.py').held_out_images)
    work = {t: 2 * macs[t] * images[t] / 1e15 for t in cfg.tasks}
    return dict(
        steps=settings.population * settings.generations,
        images_a_step=images,
        gpus=dict(all=gpus),
        image_forward_gigamacs={t: round(m / 1e9, 1) for t, m in macs.items()},
        # Evaluations are dealt to all GPUs alike.
        step_petaflop=dict(all=round(sum(work.values()), 4)),
    )


def cost(stage: Mapping) -> dict[str, dict[str, float]]:
    """Hours and dollars; a step lasts as long as its slowest task, and all GPUs are paid for."""
    found = {}
    for name, (peak, used, price) in GPUS.items():
        rate = peak * used * 1e12
        work = stage['step_petaflop']
        slowest = max(work[t] * 1e15 / stage['gpus'][t] for t in work)
        hours = OVERHEAD * stage['steps'] * slowest / rate / 3600
        gpus = sum(stage['gpus'].values())
        values = (round(hours, 1), round(hours * gpus), round(hours * gpus * price))
        found[name] = dict(zip(COST, values))
    busy = sum(work.values()) / (slowest / 1e15 * gpus)
    return dict(busy_percent=round(100 * busy), **found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--models', nargs='+', default=['b', 't'], choices=['b', 't'])
    parser.add_argument('--write', help='JSON file for the result')
    args = parser.parse_args()
    result = dict(command='python benchmarks/paper_cost.py', gpus=GPUS, overhead=round(OVERHEAD, 3))
    for model in args.models:
        with quiet():
            joint = training(f'mdl-nas-{model}_mask_joint-3x.py')
            stages = {
                'pre-training': training(f'mdl-nas-{model}_pretrain.py'),
                'joint training': joint,
                'search': searching(f'mdl-nas-{model}_mask_search.py', sum(joint['gpus'].values())),
            }
        costs = {name: cost(stage) for name, stage in stages.items()}
        total = {
            gpu: {key: round(sum(c[gpu][key] for c in costs.values()), 1) for key in COST}
            for gpu in GPUS
        }
        result[f'MDL-NAS-{model.upper()}'] = {
            **{name: stage | costs[name] for name, stage in stages.items()},
            'total': total,
        }
    print(json.dumps(result, indent=1))
    if args.write:
        Path(args.write).write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()

"""Supernets of which single tasks can be deposited, one after the other."""

import copy
import random

import torch
from helpers import build_model, joint_config, only
from partly_owned import TRUST

from mdl_nas_mm.deposit import Deposit, add, pack
from mdl_nas_mm.spec import JointSpec
from mdl_nas_mm.tasks import resolve_joint_config

POOL = tuple('abcde')
SPACE = dict(
    embed_dim=(12, 20, 24),
    depth=(1, 2, 3),
    num_heads=[(1, 3), (2,), (1, 2, 3)],
    mlp_ratio=(0.5, 1.3, 2),
    attn_share_ratio=(0, 0.25, 0.5, 1),
    ffn_share_ratio=(0, 0.4, 0.9),
)
SWIN = dict(
    type='ElasticSwin',
    space=[
        dict(SPACE, embed_dim=widths, depth=(1, 2), num_heads=heads, per_stage=True)
        for widths, heads in [((12, 16), (1, 2)), ((20, 24), (2, 3))]
    ],
    patch_size=4,
    head_dim=4,
    window_size=(3, 2),
    pad_small_map=True,
)


class Supernet:
    """A supernet of five classifiers, in which all weights of all tasks differ.

    Args:
        kind: ``ViT`` or ``Swin``; half of the tasks take both maps of the latter.
        owners: of a layer of a ViT whose weights some tasks own together.
    """

    def __init__(self, data, sharing, kind='ViT', seed=0, owners=None):
        self.trust = ()
        cfg = joint_config(data, sharing)
        cls, cfg.tasks = cfg.tasks.cls, {}
        if kind == 'Swin':
            cfg.backbone = dict(SWIN, sharing=sharing)
        else:
            cfg.backbone.space = SPACE
            if owners is not None:
                self.trust = TRUST
                cfg.backbone.update(type='PartlyOwnedViT', owners=owners)
        for i, task in enumerate(POOL):
            cfg.tasks[task] = copy.deepcopy(cls)
            if kind == 'Swin':
                cfg.tasks[task].backbone = dict(out_indices=(0, 1) if i % 2 else (1,))
        self.cfg, self.model = cfg, build_model(cfg, seed)
        self.state = self.model.state_dict()

    def part(self, *tasks):
        """The resolved config and the model of some of the tasks."""
        cfg = resolve_joint_config(only(copy.deepcopy(self.cfg), *tasks))
        model = build_model(cfg)
        model.load_state_dict({key: self.state[key] for key in model.state_dict()})
        return cfg, model

    def pack(self, path, joint):
        """Deposits some of the tasks."""
        cfg, model = self.part(*joint)
        return pack(path, model, joint, cfg.model.backbone, infos(cfg), trust=self.trust)

    def add(self, path, joint):
        """Adds some of the tasks to a deposit."""
        cfg, model = self.part(*joint)
        return add(path, model, joint, infos(cfg), dict(note='later'), self.trust)

    def sample(self, rng, *tasks):
        """Architectures of some of the tasks."""
        return JointSpec({task: self.model.backbone.space.sample(rng) for task in tasks})

    @torch.no_grad()
    def features(self, task, spec):
        """What the subnet in the supernet makes of two images."""
        return self.model.eval().backbone.forward_subnet(images(), task, spec)


def images():
    return torch.randn(2, 3, 20, 28, generator=torch.Generator().manual_seed(0))


def infos(cfg):
    return {
        task: dict(info, model=cfg.model.tasks[task].model) for task, info in cfg['tasks'].items()
    }


@torch.no_grad()
def check_answers(supernet, path, joint):
    """Each task of a deposit, against its subnet in the supernet."""
    deposit = Deposit(path, supernet.trust)
    assert deposit.joint == joint
    for task, spec in joint.items():
        loaded = deposit.load_task(task)
        expected = supernet.features(task, spec)
        assert all(torch.equal(a, b) for a, b in zip(loaded.backbone(images()), expected)), task
        head = supernet.model.tasks[task].head.state_dict()
        assert all(torch.equal(loaded.head.state_dict()[key], head[key]) for key in head)


def changed(before, after, trust=()):
    """Tensors of a file that are in a later one with another hash."""
    hashes = [Deposit(path, trust).manifest['hashes'] for path in (before, after)]
    return [name for name in hashes[0] if hashes[1].get(name, hashes[0][name]) != hashes[0][name]]


def shuffled(rng: random.Random, items):
    return rng.sample(list(items), len(items))

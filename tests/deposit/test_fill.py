"""A supernet that starts from a deposit has all that the deposit has."""

import random

import pytest
import torch
from deposits import SHARINGS
from growing import Supernet, images
from refusals import raises_naming

from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.deposit.fill import fill
from mdl_nas_mm.spec import footprint


@torch.no_grad()
@pytest.mark.parametrize('sharing', SHARINGS.values(), ids=SHARINGS)
def test_a_new_task_starts_from_what_is_there(data, sharing, tmp_path):
    supernet, rng, path = Supernet(data, sharing), random.Random(0), tmp_path / 'a.safetensors'
    joint = supernet.sample(rng, 'a', 'b')
    supernet.pack(path, joint)
    deposit = Deposit(path)
    _, fresh = supernet.part('c')
    for parameter in fresh.parameters():
        parameter.fill_(7)
    backbone = fresh.backbone.eval()
    fill(deposit, backbone, 'b', as_task='c')
    # The new task answers with the weights of the one that it inherits from.
    expected = supernet.features('b', joint['b'])
    found = backbone.forward_subnet(images(), 'c', joint['b'])
    assert all(torch.equal(a, b) for a, b in zip(found, expected))
    stored, trained = deposit.stored(), dict(supernet.model.backbone.named_parameters())
    used = footprint(supernet.model.backbone.ledger(), joint.items())
    assert {k for k in used if '.specific.' not in k[0] and used[k].any()} == set(stored)
    for name, parameter in backbone.named_parameters():
        if name.endswith('.score'):
            assert torch.equal(parameter, trained[name])
        elif '.specific.' not in name:
            lengths = torch.from_numpy(stored[name, 0]) if (name, 0) in stored else torch.zeros(1)
            rows = parameter.reshape(len(lengths), -1)
            is_there = torch.arange(rows.shape[1]) < lengths[:, None]
            assert torch.equal(rows[is_there], trained[name].reshape(rows.shape)[is_there])
            assert (rows[~is_there] == 7).all()


def test_another_backbone_is_not_filled(data, tmp_path):
    supernet, path = Supernet(data, 'Sequential'), tmp_path / 'a.safetensors'
    supernet.pack(path, supernet.sample(random.Random(0), 'a'))
    other, deposit = Supernet(data, 'Mask').model.backbone, Deposit(path)
    with raises_naming(ValueError, 'sharing'):
        fill(deposit, other, 'a', as_task='a')
    with raises_naming(ValueError, "'b'", "['a']"):
        fill(deposit, supernet.model.backbone, 'b', as_task='a')

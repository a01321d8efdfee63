"""Clipping over ranks against torch's own over all that they hold."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from distributed.processes import run_processes
from torch import nn
from torch.nn.utils import clip_grad_norm_

from mdl_nas_mm.engine.clipping import clip_over_all_ranks
from mdl_nas_mm.engine.launch import start_processes
from mdl_nas_mm.spec.owners import ALL, Owners

pytestmark = pytest.mark.distributed


def with_gradient(*values):
    parameter = nn.Parameter(torch.zeros(len(values)))
    parameter.grad = torch.tensor(values)
    return parameter


def check_clip():
    """A shared weight on both ranks, and one of each rank's own task."""
    start_processes('pytorch', timedelta(seconds=60))
    rank = dist.get_rank()
    shared, own = with_gradient(3.0, 4.0), [with_gradient(6.0), with_gradient(-2.0)]
    tasks = [Owners.of('a'), Owners.of('b')]
    model = SimpleNamespace(parameters_by_owners=lambda: {ALL: [shared], tasks[rank]: [own[rank]]})
    clip = clip_over_all_ranks(model, SimpleNamespace(leads=lambda owners: True))
    settings = dict(max_norm=0.5, error_if_nonfinite=True, foreach=False)
    norm = clip([shared, own[rank]], **settings)

    alone = [with_gradient(3.0, 4.0), with_gradient(6.0), with_gradient(-2.0)]
    torch.testing.assert_close(norm, clip_grad_norm_(alone, **settings))
    torch.testing.assert_close(shared.grad, alone[0].grad)
    torch.testing.assert_close(own[rank].grad, alone[1 + rank].grad)

    # What one rank has is known to all.
    if rank == 1:
        own[rank].grad.fill_(float('inf'))
    with pytest.raises(RuntimeError, match='inf'):
        clip([shared, own[rank]], **settings)
    assert clip([shared, own[rank]], max_norm=0.5).isinf()


def test_all_settings_of_torch_on_all_ranks(tmp_path):
    run_processes(2, check_clip, folder=tmp_path)

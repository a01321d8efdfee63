"""Puts what a deposit has into a backbone of the deposit's whole space."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mdl_nas_mm.elastic import ElasticBackbone
from mdl_nas_mm.elastic.plain import statistics_of
from mdl_nas_mm.header.names import BACKBONE
from mdl_nas_mm.spec.owners import score_name, specific_name

from .unpack import Deposit


@torch.no_grad()
def fill(deposit: Deposit, backbone: ElasticBackbone, task: str, as_task: str) -> None:
    """Copies weights into a backbone; everything else in it keeps its value.

    These are all weights of several tasks that any task uses (``Deposit.stored`` says which), the
    mask policy's scores, and of one task the specific weights, its own and those with others, and
    the running statistics of batch norms.

    Args:
        deposit: where the weights come from.
        backbone: where they go; built from the config in the deposit, with any tasks.
        task: whose specific weights.
        as_task: the task of the backbone that gets them; but what the file has of weights that it
            owns together with others.

    Raises:
        ValueError: the deposit has no such task, a tensor was altered, or the backbone is another
            one.
    """
    deposit.check_task(task)
    deposit.check_same_backbone(backbone, None)
    parameters = dict(backbone.named_parameters())
    _fill_specific(deposit, backbone, task, as_task)
    _fill_shared(deposit, parameters)
    fill_statistics(deposit, backbone, task)
    scores = deposit.structure.scores
    if scores:
        for layer, values in zip(scores, deposit.read('scores').split(list(scores.values()))):
            parameters[score_name(layer)].copy_(values)


def fill_statistics(deposit: Deposit, backbone: ElasticBackbone, task: str) -> None:
    """Copies a task's running statistics into a backbone of as many channels, or more."""
    names = deposit.head_names(task)
    for key, values in statistics_of(backbone).items():
        (name,) = names[f'{BACKBONE}{key}']
        found = deposit.read(name)
        values[tuple(map(slice, found.shape))] = found


def _fill_shared(deposit: Deposit, parameters: Mapping[str, Tensor]) -> None:
    counts = deposit.structure.row_counts()
    stored = {name: deposit.read(f'shared/{name}') for name in deposit.stored_segments()}
    for (name, first), blocks in deposit.structure.segments.blocks.items():
        # Swin has norms just of the stages that its tasks take.
        for block in blocks if name in parameters else ():
            if block.segment in stored:
                rows = parameters[name].view(counts[name], -1)
                flat = stored[block.segment][block.offset : block.offset + block.size]
                columns = slice(first + block.start, first + block.end)
                values = flat.view(len(block.rows), -1).to(rows)
                rows[torch.from_numpy(block.rows), columns] = values


def _fill_specific(deposit: Deposit, backbone: ElasticBackbone, task: str, as_task: str) -> None:
    weights, parameters = deposit.run_weights(task), dict(backbone.named_parameters())
    ledger = backbone.ledger()
    for (name, first), found in deposit.region(task).weights.items():
        for part in found:
            if part.owners.are_all:
                continue
            use, chosen = part.use, torch.from_numpy(part.chosen)
            target = parameters.get(specific_name(name, ledger.owners(use, as_task)))
            if target is None:
                # Of what some tasks have beside all others, the new one may have none.
                continue
            target = target.view(use.groups, use.max_channels, -1)
            target = target[:, : use.channels, first : first + use.columns]
            values = weights[name, first].view(use.groups, use.channels, use.columns).to(target)
            target[chosen] = values[chosen]

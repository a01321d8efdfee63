"""A kind of storage that somebody registers: a task's weights as another's, and what differs."""

from dataclasses import dataclass

import numpy as np
import torch

from mdl_nas_mm.deposit.kinds import OwnKind, check_form
from mdl_nas_mm.deposit.rectangles import as_integers, from_integers


@dataclass(frozen=True)
class SparseDifference(OwnKind):
    """Own elements that differ from those of a base task, which has the same sizes.

    weight = base + difference. The indices count all own elements, in the layout's order.
    """

    base: str = ''

    prefix = 'difference'

    @property
    def bases(self):
        return (self.base,)

    @property
    def names(self):
        return [f'{self.key}/indices', f'{self.key}/values']

    def tensors(self, new):
        ours, theirs = new.run_weights(self.task), new.run_weights(self.base)
        pairs = []
        for part in new.region(self.task).own:
            run = part.use.run
            if run not in theirs or theirs[run].shape != ours[run].shape:
                raise ValueError(f'task {self.task!r}: {run[0]!r} has another size in {self.base}')
            rows = torch.from_numpy(part.chosen.reshape(-1))
            pairs.append((ours[run][rows].reshape(-1), theirs[run][rows].reshape(-1)))
        ours, theirs = (torch.cat(list(each)) for each in zip(*pairs))
        difference = ours - theirs
        if not torch.equal(theirs + difference, ours):
            raise ValueError(f'task {self.task!r} is not {self.base!r} and a difference')
        indices = difference.nonzero()[:, 0]
        return dict(zip(self.names, (indices, difference[indices])))

    def elements(self, contents):
        return contents.entries[self.names[1]].shape[0]

    def needed(self, contents):
        return self.names

    def check(self, name, entry, contents):
        indices, values = self.names
        if name == indices:
            check_form(name, entry, self.elements(contents), torch.int64)
        elif name == values:
            most = contents.region(self.task).own_size
            check_form(name, entry, min(entry.shape[0], most), contents.dtype)
        else:
            super().check(name, entry, contents)

    def pieces(self, task, contents, weights_of):
        found, offset = {}, 0
        if task == self.task:
            base = weights_of(self.base)
            for part in contents.region(task).own:
                piece = Difference(self, part, base, offset, contents)
                found[part.use.run] = [piece]
                offset += part.size
        return found


@dataclass(frozen=True)
class Difference:
    """What differs in one run."""

    kind: SparseDifference
    part: object
    base: dict
    offset: int
    contents: object

    def put(self, weight, read):
        indices, values = map(read, self.kind.names)
        whole = self.contents.region(self.kind.task).own_size
        if len(indices) and (
            indices[0] < 0 or indices[-1] >= whole or (np.diff(indices) < 1).any()
        ):
            raise ValueError(f'{self.kind.names[0]!r} are no ascending numbers below {whole}')
        begin, end = np.searchsorted(indices, [self.offset, self.offset + self.part.size])
        base = self.base.get(self.part.use.run)
        if base is None or tuple(base.shape) != weight.shape:
            raise ValueError(f'task {self.kind.task!r}: {self.kind.base!r} has another size')
        rows = self.part.chosen.reshape(-1)
        merged = base[torch.from_numpy(rows)].reshape(-1).clone()
        places = torch.from_numpy(indices[begin:end] - self.offset)
        merged[places] += from_integers(values[begin:end].copy(), base.dtype)
        weight[rows] = as_integers(merged).reshape(rows.sum(), -1)

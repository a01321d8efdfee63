"""The paper's differences of single elements: counted, and computed densely."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .execution import Done, Execution, Source
from .parts import Part
from .state import Pair


class ElementExecution(Execution[Tensor]):
    """Eq. 3 to 5 with Q on the difference of a layer's inputs.

    A change is that difference (R, C) with zeros where it does not count. Products with it, and
    with the difference of the weights, are computed as dense ones.
    """

    def split(self, part: Part) -> list[Part]:
        """Each linear layer by itself."""
        return part.single()

    def change(self, part: Part, inputs: Tensor, source: Source, threshold: float) -> Tensor:
        """Q of the difference: elements up to the threshold, by absolute value, are zero."""
        difference = inputs - source.pairs[part.name].inputs
        mask = self._mask(part)
        if mask is not None:
            return difference * mask[:, None]
        return difference * (difference.abs() > threshold)

    def cost(self, part: Part, change: Tensor, source: Source) -> float:
        """S_w + S_a1 from the base, S_a2 from the frame before."""
        density = int((change != 0).sum()) / change.numel()
        return density + part.weight_density if source.is_base else density

    def rows(self, part: Part, change: Tensor, source: Source) -> Tensor | None:
        """Those of a given mask; otherwise all are computed."""
        return self._mask(part)

    def update(self, part: Part, inputs: Tensor, change: Tensor, source: Source) -> Done:
        """See ``Execution``."""
        pair, (layer,) = source.pairs[part.name], part.layers
        added, executed, weight_density = F.linear(change, layer.weight), part.products, 0.0
        if source.is_base and part.differs:
            executed, weight_density = 2 * executed, part.weight_density
            (base,) = part.base_layers
            bias = None if layer.bias is None or base.bias is None else layer.bias - base.bias
            added = added + F.linear(pair.inputs, layer.weight - base.weight, bias)
        mask = self._mask(part)
        if mask is not None:
            added = added * mask[:, None]
        density = int((change != 0).sum()) / change.numel()
        pair = Pair(pair.inputs + change, pair.outputs + added)
        return Done(pair, len(inputs), len(inputs) * executed, density, weight_density)

    def _mask(self, part: Part) -> Tensor | None:
        # A feed-forward network is one part of rows, named by its first layer.
        return self.masks.get(part.name.replace('.fc2', '.fc1'))

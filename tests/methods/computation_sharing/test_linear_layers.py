"""Which layers are shared as differences, and in which order."""

import torch
from refusals import raises_naming
from sharing_models import swin, vit
from torch import nn
from torch.overrides import TorchFunctionMode

from mdl_nas_mm.methods.computation_sharing import linear_layers

BLOCK = ('attn.qkv', 'attn.proj', 'mlp.fc1', 'mlp.fc2')


class _Products(TorchFunctionMode):
    """Notes the weights of linear products in the order in which they are computed."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.nn.functional.linear:
            self.weights.append(args[1].data_ptr())
        return func(*args, **(kwargs or {}))


def test_layers_of_a_vit_come_in_the_order_of_computation():
    model = vit()
    layers = linear_layers(model)
    assert list(layers) == [f'blocks.{i}.{name}' for i in range(3) for name in BLOCK]
    with _Products() as products:
        model(torch.rand(1, 3, 32, 32, dtype=torch.float64))
    assert products.weights == [layer.weight.data_ptr() for layer in layers.values()]


def test_layers_of_a_swin_are_those_of_all_stages_without_merging():
    model = swin()
    layers = linear_layers(model)
    blocks = [f'stages.{stage}.blocks.{i}' for stage in range(2) for i in range(2)]
    assert list(layers) == [f'{block}.{name}' for block in blocks for name in BLOCK]
    with _Products() as products:
        model(torch.rand(1, 3, 32, 32, dtype=torch.float64))
    merging = model.stages[0].downsample.reduction.weight.data_ptr()
    computed = [weight for weight in products.weights if weight != merging]
    assert computed == [layer.weight.data_ptr() for layer in layers.values()]


def test_another_backbone_is_refused():
    with raises_naming(ValueError, 'Sequential'):
        linear_layers(nn.Sequential(nn.Linear(2, 2)))

"""Counts the elements of a model, and the multiply-adds that it really does."""

from contextlib import contextmanager

import torch
from torch.backends import cuda
from torch.utils.flop_counter import FlopCounterMode

from mdl_nas_mm.elastic.layers import ElasticLinear
from mdl_nas_mm.families.transformer.patch_embed import ElasticPatchEmbed

LINEAR = (torch.nn.Linear, torch.nn.Conv2d, ElasticLinear, ElasticPatchEmbed)


def numel(module):
    return sum(parameter.numel() for parameter in module.parameters())


@contextmanager
def plain_attention():
    """Attention by matrix products, which are counted; the processor's fused one is not.

    These switches are of all devices, and of every torch since 2.1.
    """
    fused = cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled()
    cuda.enable_flash_sdp(False)
    cuda.enable_mem_efficient_sdp(False)
    try:
        yield
    finally:
        cuda.enable_flash_sdp(fused[0])
        cuda.enable_mem_efficient_sdp(fused[1])


@torch.no_grad()
def multiply_adds(model, size):
    """Of one image of ``size`` (height, width), by torch's counter, which counts each as two.

    Returns:
        Those of everything, and those inside linear layers and convolutions alone: without the
        products of the attention.
    """
    parameter = next(model.parameters())
    image = torch.zeros(1, 3, *size, device=parameter.device, dtype=parameter.dtype)
    counter, linear, before = FlopCounterMode(display=False), 0, []

    def begin(*_):
        before.append(counter.get_total_flops())

    def end(*_):
        nonlocal linear
        linear += counter.get_total_flops() - before.pop()

    hooks = []
    for module in model.modules():
        if isinstance(module, LINEAR):
            hooks += module.register_forward_pre_hook(begin), module.register_forward_hook(end)
    with plain_attention(), counter:
        model(image)
    for hook in hooks:
        hook.remove()
    return counter.get_total_flops() / 2, linear / 2

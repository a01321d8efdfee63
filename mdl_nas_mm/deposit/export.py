"""Writes a task's model, or its backbone, as ONNX or as a torch.export program."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from mdl_nas_mm.tasks import task_scope
from mdl_nas_mm.utils.config_file import read_config
from mdl_nas_mm.utils.data_only import data_only
from mdl_nas_mm.utils.data_paths import prepared_dataset
from mdl_nas_mm.utils.files import written_whole
from mdl_nas_mm.utils.private import untraceable

from .unpack import Deposit

PARTS = ('whole', 'features', 'backbone')
SUFFIXES = ('.onnx', '.pt2')
# Largest difference to torch, over the largest output.
_TOLERANCE = 1e-4
# The first release whose exporter takes a torch.export program.
_TORCH = (2, 6)


def load_model(
    source: str | Path,
    task: str | None = None,
    checkpoint: str | Path | None = None,
    trust_checkpoint: bool = False,
    trust: Collection[str] = (),
) -> tuple[nn.Module, Mapping[str, Any]]:
    """An upstream model in eval mode, and the config of the data loader that it is tested on.

    Args:
        source: a deposit, or an upstream config such as ``extract`` writes.
        task: which one of a deposit.
        checkpoint: of a config; by default its ``load_from``.
        trust_checkpoint: whether that may hold anything, and so run any code.
        trust: of a deposit, see ``Deposit``.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: the task or the checkpoint is not given, or the deposit has no such task.
    """
    if Path(source).suffix != '.py':
        deposit = Deposit(source, trust)
        if task is None:
            raise ValueError(f'deposit {source}: give --task, one of {sorted(deposit.tasks)}')
        return deposit.load_task(task), deposit.tasks[task].get('val_dataloader', {})
    cfg = read_config(source)
    checkpoint = checkpoint or cfg.get('load_from')
    if checkpoint is None:
        raise ValueError(f'config {source} has no load_from; give --checkpoint')
    with task_scope(cfg.default_scope):
        model = ROOT_MODELS.build(cfg.model).eval()
    with data_only(trust_checkpoint):
        load_checkpoint(model, str(checkpoint), 'cpu')
    return model, cfg.get('test_dataloader') or {}


def default_size(model: nn.Module, dataloader: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the images that a model is tested on, where there is one such size.

    That is what the pipeline crops or resizes to or, where it keeps each image's proportions, what
    the preprocessor or the backbone is made for.

    Raises:
        ValueError: there is none.
    """
    for step in reversed(prepared_dataset(dataloader).get('pipeline', ())):
        # Configs of mmengine's new style have the class itself. All sizes are (width, height).
        name = getattr(step['type'], '__name__', step['type'])
        if name.endswith('CenterCrop'):
            return _height_width(step['crop_size'])[::-1]
        if name.endswith('TopdownAffine'):
            return _height_width(step['input_size'])[::-1]
        if name.endswith('Resize') and not step.get('keep_ratio') and 'scale' in step:
            return _height_width(step['scale'])[::-1]
    for size in (
        getattr(model.data_preprocessor, 'size', None),
        getattr(getattr(model.backbone, 'shape', model.backbone), 'img_size', None),
    ):
        if size is not None:
            return _height_width(size)
    raise ValueError('the config tells no size of images; give --input-size')


def _height_width(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def check_file(path: str | Path) -> None:
    """Raises ValueError for a file of an unknown kind, or whose package is missing or too old."""
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ValueError(f'--out {path}: name it .onnx or .pt2')
    _check_packages(suffix)


def export(
    model: nn.Module, path: str | Path, input_size: tuple[int, int], part: str = 'whole'
) -> float:
    """Writes a model for preprocessed images (B, C, H, W), with any number of them.

    ``whole`` gives a classifier's logits (B, classes), a segmentor's of every pixel
    (B, classes, H, W), a top-down pose estimator's heatmaps; ``features`` gives each map of its
    neck, of any model, ``backbone`` each of the backbone.

    Args:
        model: an upstream model in eval mode on the CPU.
        path: ``.onnx``, or ``.pt2`` for a ``torch.export`` program. It appears when what is in it
            was found to answer as torch does, ONNX in ONNX Runtime, for one image and for three.
        input_size: (height, width), fixed.
        part: ``whole``, ``features`` or ``backbone``.

    Returns:
        The largest absolute difference to torch.

    Raises:
        ValueError: the suffix or the part is unknown, the part cannot be exported, a package is
            missing or too old, or the answers differ by more than 1e-4 of the largest.
    """
    check_file(path)
    check_exportable(model, part)
    path, suffix = Path(path), Path(path).suffix
    module, name = _part(model, part, input_size)
    shape = (_channels(model), *input_size)
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # What backbones compute from sizes once and keep must not be computed while tracing.
        outputs = _as_tuple(module(images))
        batch = {0: torch.export.Dim('batch')}
        # strict=False: a backbone asks a context variable what is active.
        try:
            program = torch.export.export(module, (images,), dynamic_shapes=(batch,), strict=False)
        except untraceable() as error:
            raise ValueError(
                f'{type(model).__name__} with {type(model.backbone).__name__} cannot be traced for '
                "any number of images (upstream's SwinTransformer counts them itself); export the "
                'task from its deposit'
            ) from error
    several = len(outputs) > 1
    names = [f'{name}_{i}' for i in range(len(outputs))] if several else [name]
    with written_whole(path) as temporary:
        if suffix == '.onnx':
            run = _save_onnx(program, temporary, names)
        else:
            run = _save_program(program, temporary)
        return _check(module, run, shape)


def _channels(model: nn.Module) -> int:
    """Of the images that a model takes, as the first convolution of its backbone says."""
    backbone: Any = model.backbone
    first = next((m for m in backbone.modules() if isinstance(m, nn.Conv2d)), None)
    return getattr(getattr(backbone, 'shape', first), 'in_channels', 3)


def _check_packages(suffix: str) -> None:
    version = tuple(map(int, re.findall(r'\d+', torch.__version__)[:2]))
    if version < _TORCH:
        raise ValueError(f'export needs torch 2.6 or newer, this is {torch.__version__}')
    for name in ('onnx', 'onnxscript', 'onnxruntime') if suffix == '.onnx' else ():
        if importlib.util.find_spec(name) is None:
            raise ValueError(f'{name} is missing: pip install onnx onnxscript onnxruntime')


class _PixelLogits(nn.Module):
    """The logits of every pixel, as mmseg has them in whole mode."""

    def __init__(self, model: BaseModel, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.metas = model, [dict(img_shape=size)]

    def forward(self, images: Tensor) -> Tensor:
        return self.model.encode_decode(images, self.metas)


class _Forward(nn.Module):
    """Upstream's forward pass without what comes after the head."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.model(images, None, mode='tensor')


class _Features(nn.Module):
    """Backbone and neck, without a head."""

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.model.extract_feat(images)


def check_exportable(model: BaseModel, part: str) -> None:
    """Raises ValueError for a part that is none, or that a model cannot be written as."""
    if part not in PARTS:
        raise ValueError(f'--part {part!r} is not one of {PARTS}')
    if part == 'whole' and _whole_kind(model) is None:
        raise ValueError(
            f'a {type(model).__name__} cannot be exported whole, only classifiers, segmentors and '
            'top-down pose estimators; --part features gives its backbone and neck, --part '
            'backbone the backbone alone'
        )


def _whole_kind(model: BaseModel) -> str | None:
    """What a whole model gives; None where that depends on what is in an image."""
    library = {kind.__module__.partition('.')[0] for kind in type(model).__mro__}
    if 'mmpose' in library and type(model).__name__ == 'TopdownPoseEstimator':
        return 'heatmaps'
    is_segmentor = 'mmseg' in library and hasattr(model, 'encode_decode')
    is_classifier = 'mmpretrain' in library and getattr(model, 'with_head', False)
    return 'logits' if is_segmentor or is_classifier else None


def _part(model: BaseModel, part: str, size: tuple[int, int]) -> tuple[nn.Module, str]:
    """A module from images to tensors, and what the tensors are."""
    if part != 'whole':
        return model.backbone if part == 'backbone' else _Features(model), 'features'
    kind = _whole_kind(model)
    assert kind is not None
    is_segmentor = hasattr(model, 'encode_decode')
    return _PixelLogits(model, size) if is_segmentor else _Forward(model), kind


def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention in parts: ONNX's own takes no masks that differ by window."""
    logits = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None:
        logits = logits + attn_mask
    return logits.softmax(-1) @ v


def _save_onnx(program: torch.export.ExportedProgram, path: Path, names: list[str]) -> Any:
    import onnxruntime

    attention = torch.ops.aten.scaled_dot_product_attention.default
    exported = torch.onnx.export(
        program.run_decompositions({attention: _attention}),
        dynamo=True,
        input_names=['images'],
        output_names=names,
        dynamic_shapes=({0: 'batch'},),
        verbose=False,
    )
    assert exported is not None
    exported.save(path)
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    return lambda images: map(torch.from_numpy, session.run(None, {'images': images.numpy()}))


def _save_program(program: torch.export.ExportedProgram, path: Path) -> Any:
    with open(path, 'wb') as file:
        torch.export.save(program, file)
    with open(path, 'rb') as file:
        return torch.export.load(file).module()


@torch.no_grad()
def _check(module: nn.Module, run: Any, shape: tuple[int, int, int]) -> float:
    """The largest difference between torch and what was exported, or ValueError."""
    worst = 0.0
    for count in (1, 3):
        images = torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))
        for found, expected in zip(_as_tuple(run(images)), _as_tuple(module(images)), strict=True):
            difference = (found - expected).abs().max().item()
            if not difference <= _TOLERANCE * expected.abs().max().item():
                raise ValueError(f'what was exported differs from torch by {difference:.1e}')
            worst = max(worst, difference)
    return worst


def _as_tuple(value: Any) -> tuple[Tensor, ...]:
    return (value,) if isinstance(value, Tensor) else tuple(value)

"""Whether an environment can run the suite, and what to do where it cannot.

Nothing but the standard library is imported before it is asked about, so that what is missing
becomes a line of the report instead of a traceback.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import platform
import sys
import warnings
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from .data_paths import data_paths
from .one_line import first_line
from .upstream import upstream_config_path

OK, WARN, FAIL = 'ok', 'warn', 'FAIL'
PYTHONS = ((3, 10), (3, 12))
INSTALL = {
    'onedl': '`make setup` installs the tried stack',
    'openmmlab': '`make setup STACK=openmmlab` installs the tried stack',
}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        level: ``ok``, ``warn`` (it runs, perhaps not all of it) or ``FAIL`` (it does not run).
        subject: What was looked at.
        message: What was found.
        advice: What to do about it; empty where nothing is to be done.
    """

    level: str
    subject: str
    message: str
    advice: str = ''


@dataclass(frozen=True)
class Part:
    """A library of the stack.

    Attributes:
        module: The name it is imported by.
        onedl: Distribution and version that were tried with OneDL's forks, as pip writes them.
        openmmlab: The same with OpenMMLab's own libraries.
        needed: What does not run without it; empty if nothing runs.
    """

    module: str
    onedl: str
    openmmlab: str
    needed: str = ''

    def pins(self, stack: str) -> list[tuple[str, str]]:
        """List the two tried distributions with their versions, the stack's own first."""
        pins = [self.onedl, self.openmmlab]
        names = [(name, version) for name, _, version in (pin.partition('==') for pin in pins)]
        return names if stack == 'onedl' else names[::-1]


STACK = (
    Part('numpy', 'numpy==2.2.6', 'numpy==1.26.4'),
    Part('torch', 'torch==2.11.0', 'torch==2.1.2'),
    Part('torchvision', 'torchvision==0.26.0', 'torchvision==0.16.2'),
    Part('mmengine', 'onedl-mmengine==0.10.12', 'mmengine==0.10.7'),
    Part('mmcv', 'onedl-mmcv==2.3.6', 'mmcv==2.1.0'),
    Part('mmpretrain', 'onedl-mmpretrain==1.3.6', 'mmpretrain==1.2.0'),
    Part('mmdet', 'onedl-mmdetection==3.5.1', 'mmdet==3.3.0', 'detection'),
    Part('mmseg', 'onedl-mmsegmentation==1.4.2', 'mmsegmentation==1.2.2', 'segmentation'),
    Part('mmpose', 'mmpose==1.3.2', 'mmpose==1.3.2', 'pose estimation'),
    Part('safetensors', 'safetensors==0.8.0', 'safetensors==0.8.0'),
    Part('sklearn', 'scikit-learn==1.9.1', 'scikit-learn==1.7.2', 'the demonstration data'),
    Part('xxhash', 'xxhash==4.1.0', 'xxhash==4.1.0'),
)
# What a task uses of the config that it names, as far as it reads data.
USED = (
    'train_dataloader',
    'val_dataloader',
    'val_evaluator',
    'search_dataloader',
    'search_evaluator',
)


def installed_stack() -> str:
    """Return ``openmmlab`` where mmengine is OpenMMLab's own, else ``onedl``, the default."""
    own = _version('mmengine') is not None and _version('onedl-mmengine') is None
    return 'openmmlab' if own else 'onedl'


def check_stack(stack: str) -> Finding:
    """Say which make of the mm libraries is installed, and whether the other one is as well.

    Args:
        stack: As ``installed_stack`` returns it.
    """
    for part in STACK:
        (own, _), (other, _) = part.pins(stack)
        if own != other and _version(own) and _version(other):
            message = f'{own} and {other} are both installed, one written over the other'
            advice = f'pip uninstall {own} {other}, then install one of them'
            return Finding(FAIL, 'stack', message, advice)
    makes = {'onedl': 'onedl, the maintained forks', 'openmmlab': "openmmlab, OpenMMLab's own"}
    return Finding(OK, 'stack', makes[stack])


def check_python() -> Finding:
    """Look at the version of Python."""
    found = platform.python_version()
    low, high = ('.'.join(map(str, version)) for version in PYTHONS)
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return Finding(OK, 'Python', f'{found} (tried {low} to {high})')
    advice = f'make an environment with Python {low} to {high}'
    return Finding(FAIL, 'Python', f'{found} (tried {low} to {high})', advice)


def check_part(part: Part, stack: str = 'onedl') -> Finding:
    """Look at the version of a library, and import it.

    Args:
        part: The library.
        stack: As ``installed_stack`` returns it.
    """
    for distribution, tried in part.pins(stack):
        version = _version(distribution)
        if version is None:
            continue
        subject = part.module if part.module == distribution else f'{part.module} ({distribution})'
        try:
            importlib.import_module(part.module)
        except (
            Exception
        ) as error:  # the mm libraries raise AssertionError for a version they refuse
            return Finding(
                FAIL, subject, f'{version} cannot be imported: {_line(error)}', _cure(error, stack)
            )
        if version == tried:
            return Finding(OK, subject, version)
        advice = f'if something fails, try {tried}'
        return Finding(WARN, subject, f'{version} (tried {tried})', advice)
    level = WARN if part.needed else FAIL
    needed = f', needed for {part.needed}' if part.needed else ''
    return Finding(level, part.module, f'not installed{needed}', INSTALL[stack])


def check_mmcv_ops() -> Finding:
    """Call two of mmcv's compiled operators, on the GPU too if there is one."""
    subject = 'mmcv operators'
    rebuild = (
        'compile mmcv for this torch: CFLAGS=-g0 pip install --no-build-isolation --no-deps '
        '--no-cache-dir --force-reinstall onedl-mmcv (or mmcv)'
    )
    try:
        torch = importlib.import_module('torch')
        ops = importlib.import_module('mmcv.ops')
    except Exception as error:  # a library of another torch fails in more ways than ImportError
        return Finding(FAIL, subject, f'cannot be imported: {_line(error)}', rebuild)
    for device in ['cpu'] + ['cuda'] * torch.cuda.is_available():
        try:
            boxes = torch.tensor([[0.0, 0, 8, 8], [1, 0, 8, 8], [20, 20, 28, 28]], device=device)
            scores = torch.tensor([0.9, 0.8, 0.7], device=device)
            kept = ops.nms(boxes, scores, 0.5)[1].tolist()
            image = torch.ones(1, 1, 16, 16, device=device)
            regions = torch.tensor([[0.0, 2, 2, 10, 10]], device=device)
            mean = float(ops.roi_align(image, regions, (2, 2)).mean())
        except Exception as error:
            if device == 'cpu':
                return Finding(FAIL, subject, f'fail: {_line(error)}', rebuild)
            message = f'work on the CPU only: {_line(error)}'
            return Finding(FAIL, subject, message, f'with nvcc installed, {rebuild}')
        if kept != [0, 2] or abs(mean - 1) > 1e-5:
            return Finding(FAIL, subject, f'give wrong results on {device}', rebuild)
    return Finding(OK, subject, f'nms and roi_align work on {device}')


def check_cuda() -> Finding:
    """Say what there is to compute on."""
    try:
        torch = importlib.import_module('torch')
    except Exception as error:
        return Finding(FAIL, 'CUDA', f'torch cannot be imported: {_line(error)}')
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Finding(OK, 'CUDA', f'{torch.version.cuda}: {", ".join(names)}')
    message = f'no device; runs on {torch.get_num_threads()} CPU threads'
    return Finding(OK, 'CUDA', f'{message}, which is enough for the demo')


def check_config(filename: str) -> list[Finding]:
    """Look for the data of a config: a joint one, with its tasks' configs, or any other.

    Args:
        filename: The config file.
    """
    subject = f'data of {filename}'
    try:
        paths = list(dict.fromkeys(data_paths(_load(filename))))
    except Exception as error:
        return [Finding(FAIL, subject, f'cannot be read: {_line(error)}', 'put the config right')]
    missing = [path for path in paths if not os.path.exists(path)]
    # Of what lies in a missing folder, only the folder is named.
    tops = [path.rstrip('/') + '/' for path in missing]
    missing = [p for p in missing if not any(p.startswith(top) and p != top for top in tops)]
    if missing:
        advice = f'put it there (paths start from {os.getcwd()}), or set data_root in the config'
        return [Finding(FAIL, subject, f'{path} is not there', advice) for path in missing]
    return [Finding(OK, subject, f'{len(paths)} files and folders, all there')]


def examine(config: str | None = None) -> list[Finding]:
    """Look at everything.

    Args:
        config: A config file whose data folders to look for.
    """
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter('ignore')
        stack = installed_stack()
        findings = [check_python(), check_stack(stack)]
        findings += [check_part(part, stack) for part in STACK]
        findings += [check_mmcv_ops(), check_cuda()]
        if config:
            findings += check_config(config)
    return findings


def report(findings: list[Finding]) -> str:
    """Write the findings as one screen of text, the verdict last."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f'{finding.level:4}  {finding.subject:{width}}  {finding.message}')
        if finding.advice:
            lines.append(f'{"":6}{"":{width}}  -> {finding.advice}')
    failures = sum(finding.level == FAIL for finding in findings)
    verdict = 'This environment can run the suite.'
    if failures:
        verdict = f'This environment cannot run the suite: {failures} to put right, marked FAIL.'
    return '\n'.join([*lines, '', verdict])


def _load(filename: str) -> dict[str, Any]:
    """Load a config; of a joint one, each task's data with what it says differently."""
    from mmengine.config import Config

    config = Config.fromfile(filename).to_dict()
    tasks = config.pop('tasks', None) or {}
    for name, task in tasks.items():
        merged = Config()
        if task.get('config'):
            merged = Config.fromfile(upstream_config_path(task['config'], Path(filename).parent))
        merged.merge_from_dict({key: task[key] for key in USED if key in task})
        for kind in ('dataloader', 'evaluator'):
            # The search validates on the validation split unless the task says otherwise.
            search = Config({'search': merged.get(f'val_{kind}')})
            search.merge_from_dict({'search': task.get(f'search_{kind}') or {}})
            merged[f'search_{kind}'] = search.search
        config[name] = {key: value for key, value in merged.to_dict().items() if key in USED}
    return config


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution).split('+')[0]
    except metadata.PackageNotFoundError:
        return None


def _cure(error: BaseException, stack: str) -> str:
    if 'libGL' in str(error):
        return 'pip install --force-reinstall --no-deps opencv-python-headless (needs no libGL)'
    return INSTALL[stack]


def _line(error: BaseException) -> str:
    """The first line of an error, not too long for a screen."""
    return f'{type(error).__name__}: {first_line(error)}'[:160]

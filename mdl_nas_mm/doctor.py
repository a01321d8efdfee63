"""Whether an environment can run this package, and what to do where it cannot.

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
from typing import Any

from mdl_nas_mm.utils.data_paths import data_paths
from mdl_nas_mm.utils.one_line import first_line
from mdl_nas_mm.utils.pins import pins_file, read_pins

OK, WARN, FAIL = 'ok', 'warn', 'FAIL'
_OTHER = {'onedl': 'openmmlab', 'openmmlab': 'onedl'}
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
class Library:
    """A library of the stack.

    Attributes:
        module: The name it is imported by.
        onedl: Its distribution among OneDL's forks.
        openmmlab: The same among OpenMMLab's own libraries.
        needed: What does not run without it; empty if nothing runs.
    """

    module: str
    onedl: str
    openmmlab: str
    needed: str = ''

    def distributions(self, stack: str) -> tuple[str, str]:
        """Both distributions, the stack's own first."""
        both = self.onedl, self.openmmlab
        return both if stack == 'onedl' else both[::-1]


STACK = (
    Library('numpy', 'numpy', 'numpy'),
    Library('torch', 'torch', 'torch'),
    Library('torchvision', 'torchvision', 'torchvision'),
    Library('mmengine', 'onedl-mmengine', 'mmengine'),
    Library('mmcv', 'onedl-mmcv', 'mmcv'),
    Library('mmpretrain', 'onedl-mmpretrain', 'mmpretrain'),
    Library('mmdet', 'onedl-mmdetection', 'mmdet', 'detection'),
    Library('mmseg', 'onedl-mmsegmentation', 'mmsegmentation', 'segmentation'),
    Library('mmpose', 'mmpose', 'mmpose', 'pose estimation'),
    Library('safetensors', 'safetensors', 'safetensors'),
    Library('sklearn', 'scikit-learn', 'scikit-learn', 'the demonstration data'),
    Library('xxhash', 'xxhash', 'xxhash'),
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
    for library in STACK:
        own, other = library.distributions(stack)
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


def tried_versions(stack: str) -> dict[str, str]:
    """Distribution -> the version that was tried with a stack, on this Python."""
    return read_pins(pins_file(stack).read_text(encoding='utf-8'), sys.version_info.minor)


def check_library(library: Library, stack: str = 'onedl') -> Finding:
    """Look at the version of a library, and import it.

    Args:
        library: One of ``STACK``.
        stack: As ``installed_stack`` returns it.
    """
    own, other = library.distributions(stack)
    for distribution, of in ((own, stack), (other, _OTHER[stack])):
        version = _version(distribution)
        if version is None:
            continue
        named = library.module == distribution
        subject = distribution if named else f'{library.module} ({distribution})'
        try:
            importlib.import_module(library.module)
        except (
            Exception
        ) as error:  # the mm libraries raise AssertionError for a version they refuse
            return Finding(
                FAIL, subject, f'{version} cannot be imported: {_line(error)}', _cure(error, stack)
            )
        tried = tried_versions(of).get(distribution)
        if version == tried:
            return Finding(OK, subject, version)
        advice = f'if something fails, try {tried}'
        return Finding(WARN, subject, f'{version} (tried {tried})', advice)
    level = WARN if library.needed else FAIL
    needed = f', needed for {library.needed}' if library.needed else ''
    return Finding(level, library.module, f'not installed{needed}', INSTALL[stack])


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


def data_findings(filename: str) -> list[Finding]:
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
        findings += [check_library(library, stack) for library in STACK]
        findings += [check_mmcv_ops(), check_cuda()]
        if config:
            findings += data_findings(config)
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
    verdict = 'This environment can run this package.'
    if failures:
        verdict = f'This environment cannot run this package: {failures} to put right, marked FAIL.'
    return '\n'.join([*lines, '', verdict])


def _load(filename: str) -> dict[str, Any]:
    """Load a config; a joint one with all that its tasks' configs say."""
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.utils.config_file import read_config

    config = read_config(filename)
    if 'tasks' in config:
        config = resolve_joint_config(config, check_files=False)
    return config.to_dict()


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

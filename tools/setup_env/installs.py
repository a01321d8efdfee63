"""The steps that are more than one call of pip, each with the reason why."""

from __future__ import annotations

import os
import shutil

from environment import Environment
from errors import SetupError
from machine import jobs
from pins import OPENCV
from progress import Reporter


def make_venv(env: Environment, python: str) -> None:
    """Make the virtual environment, or mend one whose making was interrupted."""
    env.run([python, '-m', 'venv', str(env.folder)], Reporter(), {})
    if env.version() is None:
        env.print_log_end()
        raise SetupError(
            f'{python} -m venv {env.folder} failed: see the lines above; remove the folder '
            '(make distclean) and try again'
        )


def install_mmcv(env: Environment) -> None:
    """Install mmcv with its compiled operators.

    A prebuilt wheel is taken where pip finds one that fits. Else the operators are compiled: with
    -g0, since debug information doubles the time and makes 2 MB into 33, and with the torch that
    is installed (no build isolation), since they must fit it. pip keeps what it built; a wheel
    built for another torch installs but does not import, and is then built anew.
    """
    mmcv = env.stack.mmcv
    wheel = ['--only-binary', mmcv, mmcv]
    if env.pip(*wheel, check=False) and env.imports('mmcv.ops'):
        return
    extra = {'MAX_JOBS': os.environ.get('MAX_JOBS') or str(jobs())}
    extra['CFLAGS'] = (os.environ.get('CFLAGS', '') + ' -g0').strip()
    if not (shutil.which('nvcc') or os.environ.get('CUDA_HOME')):
        # mmcv compiles for a GPU wherever torch sees one, which fails without the CUDA compiler.
        extra['CUDA_VISIBLE_DEVICES'] = ''
    print('      no prebuilt wheel: compiling the operators, minutes, the first time', flush=True)
    env.pip('--no-build-isolation', mmcv, **extra)
    if not env.imports('mmcv.ops'):
        print('      the cached build does not fit this torch: compiling anew', flush=True)
        again = ['--no-cache-dir', '--force-reinstall', '--no-deps', '--no-build-isolation']
        env.pip(*again, mmcv, **extra)
        if not env.imports('mmcv.ops'):
            raise SetupError(
                f'`{env.python} -c "import mmcv.ops"` fails although mmcv was compiled just now: '
                'run it to see why'
            )


def install_mmpose(env: Environment) -> None:
    """Install mmpose without chumpy, which does not build any more and which nothing imports.

    The wheel of xtcocotools on the package index was made for numpy 1: it is built here.
    """
    build = ['--no-deps', '--no-build-isolation', '--no-binary', 'xtcocotools']
    env.pip(*build, 'xtcocotools')
    if not env.imports('xtcocotools.mask'):
        env.pip('--no-cache-dir', '--force-reinstall', *build, 'xtcocotools')
    env.pip('--no-deps', 'mmpose')


def headless_wins(env: Environment) -> bool:
    """Say whether the cv2 folder is that of the headless OpenCV."""
    site = env.site_packages()
    version = site / 'cv2' / 'version.py' if site else None
    return bool(version and version.exists() and 'headless = True' in version.read_text())


def install_opencv(env: Environment) -> None:
    """Make the headless OpenCV win.

    The mm libraries ask for opencv-python, whose cv2 needs libGL, which a server rarely has.
    The headless package has the same cv2 folder without windows, so it is written over the other
    one. The other stays registered: what asks for it stays satisfied and does not fetch it again.
    """
    env.pip('--force-reinstall', '--no-deps', OPENCV)

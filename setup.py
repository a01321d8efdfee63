"""Packaging of mdl_nas_mm.

The package goes into an environment that already has torch and the mm libraries, OpenMMLab's own
or the onedl-* forks of them. Neither is asked for here: the two makes have different names on the
package index, so that asking for one would install it over the other.
"""

import re
import shutil
from pathlib import Path

from setuptools import Command, find_packages, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

ROOT = Path(__file__).resolve().parent
PACKAGE = 'mdl_nas_mm'
# What mim, mmengine and the doctor look for in the `.mim` folder of an installed package.
MIM = ('configs', 'tools', 'model-index.yml', 'requirements.txt', 'requirements-openmmlab.txt')


def version() -> str:
    """Return the version without importing the package, which would need torch."""
    text = (ROOT / PACKAGE / 'version.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE).group(1)


def readme() -> str:
    """Return the README, or nothing where a source tree has none."""
    path = ROOT / 'README.md'
    return self_contained(path.read_text(encoding='utf-8')) if path.exists() else ''


def self_contained(text: str) -> str:
    """Return Markdown without what works inside of the repository alone.

    Pictures that lie in it are left out, with the section that they make up, and of links to its
    files their text stays.
    """
    text = re.sub(r'^## What it looks like\n.*?(?=^## )', '', text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r'^!\[[^\]]*\]\((?!https?://)[^)]*\)\n+', '', text, flags=re.MULTILINE)
    return re.sub(r'(?<!!)\[([^\]]*)\]\((?!https?://|#)[^)]*\)', r'\1', text)


def copy_mim(target: Path) -> None:
    """Write the `.mim` folder anew.

    Args:
        target: The `.mim` folder.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in MIM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns('__pycache__'))
        elif source.exists():
            shutil.copy2(source, target / name)


def is_editable(command: Command) -> bool:
    """Say whether this is a development install.

    It gets no `.mim`: there mim looks into the source folder itself, and would find each config
    twice. What lies in the one of the source tree is for `mdl_nas_mm::...` alone: bases and tasks.
    """
    return 'editable_wheel' in command.distribution.commands


class BuildPyWithMim(build_py):
    """Puts `.mim` into a built package, where mmengine and OpenMMLab's mim look for it."""

    def run(self) -> None:
        """Build the package, then its `.mim`."""
        super().run()
        if not is_editable(self):
            copy_mim(Path(self.build_lib) / PACKAGE / '.mim')


class BdistWheelWithMim(bdist_wheel):
    """Puts `.mim` into a folder of its own as well, where OneDL's mim looks for it.

    That mim takes the folder of the first file that is listed as installed for that of the
    package. The list is sorted, and begins with the command, `../../../bin/mdl-nas`: a dot comes
    after a plus.
    """

    def write_wheelfile(self, wheelfile_base: str, *args: str, **kwargs: str) -> None:
        """Write the wheel's description, then `.mim`."""
        super().write_wheelfile(wheelfile_base, *args, **kwargs)
        if not is_editable(self):
            copy_mim(Path(wheelfile_base).parent / f'+{PACKAGE}' / '.mim')


if __name__ == '__main__':
    setup(
        name=PACKAGE,
        version=version(),
        description='One elastic backbone for several OpenMMLab tasks: train, search, deposit',
        long_description=readme(),
        long_description_content_type='text/markdown',
        author='The authors of mdl_nas_mm',
        license='Apache-2.0',
        keywords='computer-vision openmmlab multi-task neural-architecture-search transformer',
        project_urls={
            'Paper': 'https://openaccess.thecvf.com/content/CVPR2023/html/Wang_MDL-NAS_A_Joint_'
            'Multi-Domain_Learning_Framework_for_Vision_Transformer_CVPR_2023_paper.html',
            'OpenMMLab': 'https://github.com/open-mmlab',
        },
        classifiers=[
            'Development Status :: 4 - Beta',
            'Intended Audience :: Science/Research',
            'License :: OSI Approved :: Apache Software License',
            'Operating System :: POSIX :: Linux',
            'Programming Language :: Python :: 3',
            'Programming Language :: Python :: 3.10',
            'Programming Language :: Python :: 3.11',
            'Programming Language :: Python :: 3.12',
            'Topic :: Scientific/Engineering :: Artificial Intelligence',
            'Topic :: Scientific/Engineering :: Image Recognition',
        ],
        python_requires='>=3.10',
        packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
        # The folder of known classes is data, no package.
        package_data={
            '': ['*.md', '*.json', '*.yml', 'py.typed'],
            f'{PACKAGE}.trust': ['classes/*.json'],
        },
        # Only what torch and the mm libraries do not bring: the file format of the deposit and its
        # hashes, and the images of the demonstration data.
        install_requires=['safetensors>=0.4', 'scikit-learn>=1.2', 'xxhash>=3.0'],
        extras_require={
            'balancing': ['torchjd>=0.7', 'qpsolvers>=1.0.1', 'quadprog>=0.1.9'],
            'control': ['moocore>=0.3'],
            'export': ['onnx', 'onnxruntime', 'onnxscript'],
            'scenes': ['torchmetrics>=1.0'],
        },
        entry_points={'console_scripts': ['mdl-nas = mdl_nas_mm.__main__:main']},
        cmdclass={'build_py': BuildPyWithMim, 'bdist_wheel': BdistWheelWithMim},
        zip_safe=False,
    )

"""Upstream's own tools and inferencers, with a stock config and an elastic backbone."""

import importlib
import itertools
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stock import ARCH, SAMPLED, SOURCES, SPACE, STOCK, backbone_of, write_config

from mdl_nas_mm.engine.sample_hook import SuccessiveSubnets
from mdl_nas_mm.engine.samplers import SandwichSampler
from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.spec import SearchSpace

# Each library with one source at once, with the others in the slow run.
AT_ONCE = dict(cls='deposit', det='sampled', seg='json', pose='inline')
CYCLES = [
    pytest.param(task, source, marks=() if AT_ONCE[task] == source else pytest.mark.slow)
    for task in STOCK
    for source in SOURCES
]
# One more epoch, or as many iterations again.
LONGER = dict(
    cls='train_cfg.max_epochs=2',
    det='train_cfg.max_epochs=2',
    seg='train_cfg.max_iters=4',
    pose='train_cfg.max_epochs=2',
)
METRICS = dict(cls='accuracy/top1', det='coco/bbox_mAP', seg='mIoU', pose='coco/AP')
_NUMBERS = itertools.count()


@pytest.fixture
def run_tool(monkeypatch):
    """Runs ``tools/<name>.py`` of a task's library inside this process."""
    # The tools set it.
    monkeypatch.setenv('LOCAL_RANK', '0')

    def run(task: str, name: str, *args: str | Path, options: tuple[str, ...] = ()) -> None:
        library = importlib.import_module(STOCK[task].partition('::')[0])
        tool = Path(library.__file__).parent / '.mim' / 'tools' / f'{name}.py'
        # mmengine shares what has one name with what ran before.
        names = [
            f'{key}=test_tools_{next(_NUMBERS)}' for key in ('experiment_name', 'visualizer.name')
        ]
        options = (*names, *options)
        args = (tool, *args, '--cfg-options', *options)
        monkeypatch.setattr(sys, 'argv', [str(arg) for arg in args])
        runpy.run_path(str(tool), run_name='__main__')

    return run


@pytest.mark.parametrize(('task', 'source'), CYCLES)
def test_train_resume_test_infer(task, source, sources, data_of, tmp_path, run_tool, ran):
    settings = SAMPLED if source == 'sampled' else {}
    data, work = data_of(task), tmp_path / 'work'
    backbone = backbone_of(source, sources)
    config = write_config(tmp_path / 'config.py', task, backbone, data, **settings)

    run_tool(task, 'train', config, '--work-dir', work)
    assert iterations(work) == len(ran.in_training) == 2
    run_tool(task, 'train', config, '--work-dir', work, '--resume', options=(LONGER[task],))
    assert iterations(work) == len(ran.in_training) == 4
    trained, evaluated = [TRANSFORMER.read(ARCH)] * 4, TRANSFORMER.read(ARCH)
    if source == 'sampled':
        space = SearchSpace.from_config(SPACE, TRANSFORMER)
        subnets = SuccessiveSubnets(SandwichSampler({None: space}, seed='3/sandwich'))
        trained, evaluated = [subnets[i] for i in range(4)], space.largest()
    assert ran.in_training == trained

    # tools/test.py finds what the training's last evaluation found.
    checkpoint = last_checkpoint(work)
    run_tool(task, 'test', config, checkpoint, '--work-dir', tmp_path / 'test')
    validated, tested = metrics(work), metrics(tmp_path / 'test')
    assert METRICS[task] in tested and validated == pytest.approx(tested, abs=1e-6)

    INFER[task](config, checkpoint, data)
    assert set(ran.in_evaluation) == {evaluated}


def iterations(work: Path) -> int:
    """Iterations that the last checkpoint has behind it."""
    return torch.load(last_checkpoint(work), weights_only=False)['meta']['iter']


def last_checkpoint(work: Path) -> str:
    return (work / 'last_checkpoint').read_text()


def metrics(work: Path) -> dict[str, float]:
    """The last metrics that a runner has logged in a folder."""
    found = {}
    for path in sorted(work.rglob('*.json'), key=lambda path: path.stat().st_mtime):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if 'loss' not in entry:
                found = {k: v for k, v in entry.items() if k not in ('time', 'data_time', 'step')}
    return found


def infer_class(config: Path, checkpoint: str, data: Path) -> None:
    from mmpretrain import ImageClassificationInferencer

    inferencer = ImageClassificationInferencer(str(config), pretrained=checkpoint, device='cpu')
    (result,) = inferencer(str(first_image(data / 'cls' / 'val')))
    assert result['pred_class'] in '0123456789' and result['pred_scores'].shape == (10,)


def infer_boxes(config: Path, checkpoint: str, data: Path) -> None:
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(str(config), checkpoint, device='cpu')
    (result,) = inferencer(str(first_image(data / 'det' / 'images' / 'val')))['predictions']
    assert len(result['bboxes']) == len(result['labels']) == len(result['masks']) == 5
    assert np.isfinite(result['bboxes']).all()


def infer_labels(config: Path, checkpoint: str, data: Path) -> None:
    from mmseg.apis import MMSegInferencer

    inferencer = MMSegInferencer(str(config), checkpoint, device='cpu')
    result = inferencer(str(first_image(data / 'seg' / 'images' / 'validation')))['predictions']
    assert result.shape == (32, 32) and 0 <= result.min() <= result.max() < 150


def infer_keypoints(config: Path, checkpoint: str, data: Path) -> None:
    from mmpose.apis import MMPoseInferencer

    inferencer = MMPoseInferencer(str(config), checkpoint, det_model='whole_image', device='cpu')
    (person,) = next(inferencer(str(first_image(data / 'images'))))['predictions'][0]
    assert np.shape(person['keypoints']) == (17, 2) and np.isfinite(person['keypoints']).all()


INFER = dict(cls=infer_class, det=infer_boxes, seg=infer_labels, pose=infer_keypoints)


def first_image(folder: Path) -> Path:
    return min(path for path in folder.rglob('*') if path.suffix in ('.png', '.jpg'))

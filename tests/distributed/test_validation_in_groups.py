"""Each task is evaluated by the ranks of its group, and all ranks learn all results."""

import copy
import pickle

import pytest
from distributed.processes import run_processes
from distributed.trainings import eventful
from helpers import TASKS, build_runner

from mdl_nas_mm.engine.assignment import assign_ranks
from mdl_nas_mm.engine.checkpoint import latest_checkpoint

pytestmark = pytest.mark.distributed


def validate(cfg, folder, distributed):
    """Writes the metrics that this rank got, and the images that it has seen, by task."""
    cfg = copy.deepcopy(cfg)
    cfg.launcher = 'pytorch' if distributed else 'none'
    runner = build_runner(cfg, folder)
    images, hook = {}, runner.call_hook

    def call_hook(name, **kwargs):
        if name == 'after_val_iter':
            paths = [sample.img_path for sample in kwargs['outputs']]
            task = paths[0].partition('demo/')[2].split('/')[0]
            images.setdefault(task, []).extend(paths)
        hook(name, **kwargs)

    runner.call_hook = call_hook
    content = pickle.dumps((runner.val(), images))
    (folder / f'seen_{runner.ranks.rank}').write_bytes(content)


def validated(world_size, cfg, folder):
    """(metrics, images by task) of each rank; 0 means no launcher."""
    number = max(world_size, 1)
    run_processes(number, validate, cfg, folder, world_size > 0, folder=folder)
    return [pickle.loads((folder / f'seen_{rank}').read_bytes()) for rank in range(number)]


@pytest.fixture
def checkpointed(data, eventful_run):
    """The config of the eventful training, to validate its last checkpoint."""
    cfg = eventful(data)
    cfg.load_from = str(latest_checkpoint(eventful_run(0)))
    # Among many guesses of a model that has hardly been trained some are right.
    found = dict(score_thr=0.0, max_per_img=100)
    cfg.tasks.det.model.test_cfg.rcnn.update(found)
    cfg.tasks.det.model.test_cfg.rpn.update(nms_pre=200, max_per_img=100)
    return cfg


@pytest.mark.parametrize('world_sizes', [(3, 6), pytest.param((1, 2, 8), marks=pytest.mark.slow)])
def test_any_number_of_processes_gives_the_same_metrics(checkpointed, tmp_path, world_sizes):
    ((expected, whole),) = validated(0, checkpointed, tmp_path / 'one')
    assert expected['det/coco/bbox_mAP'] > 0 and expected['seg/mIoU'] > 0
    for world_size in world_sizes:
        seen = validated(world_size, checkpointed, tmp_path / str(world_size))
        for metrics, _ in seen:
            assert metrics == pytest.approx(expected, abs=1e-6, nan_ok=True), world_size
            # The same on all ranks to the last bit: they decide together what is the best.
            assert repr(metrics) == repr(seen[0][0])
        for task, ranks in assign_ranks(TASKS, None, world_size).ranks.items():
            parts = [images[task] for _, images in seen if task in images]
            assert len(parts) == len(ranks)
            assert {path for part in parts for path in part} == set(whole[task])
            # Ten images; the last rank of three begins again to have as many as the others.
            assert {len(part) for part in parts} == {-(-10 // len(parts))}
        # Only the first process writes a log: it has the tables of all tasks.
        (log,) = (tmp_path / str(world_size)).rglob('*.log')
        for table in ('bbox_mAP_copypaste', 'per class results'):
            assert table in log.read_text()


@pytest.mark.parametrize('world_size', [0, 3])
def test_a_detector_that_finds_nothing_scores_zero(checkpointed, tmp_path, world_size):
    """Under its name, so that the best by this score can be kept from the beginning."""
    checkpointed.tasks.det.model.test_cfg.rcnn.score_thr = 2.0
    for metrics, _ in validated(world_size, checkpointed, tmp_path):
        assert metrics['det/coco/bbox_mAP'] == 0
        scores = metrics['cls/accuracy/top1'] + metrics['seg/mIoU']
        assert metrics['s_score'] == pytest.approx(scores)

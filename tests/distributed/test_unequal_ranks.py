"""Ranks whose batches differ: in number, in what is in them, in what is reported of them."""

import json

import pytest
from distributed.trainings import largest_difference, trained, training
from helpers import only

pytestmark = pytest.mark.distributed


def one_stage(cfg):
    """The detector with a head that divides by means over ranks: of positives, of centerness."""
    model = cfg.tasks.det.model
    cfg.tasks.det.model = dict(
        _delete_=True,
        type='FCOS',
        data_preprocessor=model.data_preprocessor,
        backbone=model.backbone,
        neck=model.neck,
        bbox_head=dict(
            type='FCOSHead',
            num_classes=10,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            strides=[4],
            regress_ranges=((-1, 1e8),),
            norm_cfg=dict(type='GN', num_groups=2),
        ),
        test_cfg=dict(nms_pre=20, score_thr=0.01, max_per_img=5, nms=dict(type='nms')),
    )
    return cfg


def test_ranks_that_share_a_batch_divide_by_the_mean_over_it(data, tmp_path):
    """A detector's batch of two images on two ranks; a head that has no random choices."""
    batches = dict(cls=1, det=1)
    cfg = one_stage(
        only(training(data, batches=batches, changes={'train_cfg.max_iters': 3}), *batches)
    )
    one = trained(0, cfg, tmp_path / 'one')['state_dict']
    three = trained(3, cfg, tmp_path / 'three')['state_dict']
    assert largest_difference(one, three) < 1e-5


@pytest.mark.parametrize('world_size', [3, pytest.param(4, marks=pytest.mark.slow)])
def test_a_rank_may_have_more_batches_than_another(data, tmp_path, world_size):
    """Two of three ranks share three batches; none waits for another inside of a loss."""
    changes = {'train_cfg.max_iters': 3, 'env_cfg.dist_cfg.timeout': 60}
    cfg = one_stage(only(training(data, batches=dict(cls=1, det=3), changes=changes), 'cls', 'det'))
    one = trained(0, cfg, tmp_path / 'one')['state_dict']
    many = trained(world_size, cfg, tmp_path / 'many')['state_dict']
    assert largest_difference(one, many) < 1e-5


def without_objects(data, folder, keep):
    """Training annotations in which only the first ``keep`` images have objects."""
    annotations = json.loads((data / 'det' / 'annotations' / 'train.json').read_text())
    kept = [image['id'] for image in annotations['images'][:keep]]
    annotations['annotations'] = [a for a in annotations['annotations'] if a['image_id'] in kept]
    path = folder / 'sparse.json'
    path.write_text(json.dumps(annotations))
    return path


@pytest.mark.parametrize('keep', [1, 6])
def test_batches_without_an_object(data, tmp_path, keep):
    """Of a detector that keeps images without annotations."""
    cfg = only(training(data, batches=dict(cls=1, det=2)), 'cls', 'det')
    cfg.train_cfg.max_iters = 2
    cfg.default_hooks.logger.interval = 1
    cfg.tasks.det.train_dataloader.batch_size = 1
    cfg.tasks.det.train_dataloader.dataset.update(
        ann_file=str(without_objects(data, tmp_path, keep)), filter_cfg=dict(filter_empty_gt=False)
    )
    one = trained(0, cfg, tmp_path / 'one')['state_dict']
    three = trained(3, cfg, tmp_path / 'three')['state_dict']
    assert largest_difference(one, three) < 1e-5

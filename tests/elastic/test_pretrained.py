"""``init_cfg=dict(type='Pretrained', ...)`` reaches the backbone from a config."""

import pytest
import torch
from inheriting import (
    IMAGE,
    LARGE,
    SWIN_SPACE,
    VIT,
    VIT_SPACE,
    assert_same,
    assert_unchanged,
    before,
    elastic_swin,
    elastic_vit,
    pretrain_swin,
    pretrain_vit,
    snapshot,
)
from mmengine.config import ConfigDict
from mmengine.model import PretrainedInit
from mmpretrain.models import ImageClassifier
from numerics.published_weights import randomize
from refusals import raises_naming

from mdl_nas_mm.registry import MODELS
from mdl_nas_mm.tasks import task_scope


def save(state, folder, **more):
    path = folder / 'weights.pth'
    torch.save(dict(state_dict=state, **more), path)
    return str(path)


@pytest.mark.parametrize('kind', ['Pretrained', PretrainedInit], ids=str)
def test_backbone_reads_a_file(tmp_path, kind):
    model = pretrain_vit()
    path = save(before('backbone.', model.state_dict()), tmp_path, meta=dict(epoch=300))
    vit = elastic_vit(init_cfg=ConfigDict(type=kind, checkpoint=path))
    before_init = snapshot(vit)
    assert not vit.is_init
    vit.init_weights()
    assert vit.is_init and not torch.equal(vit.cls_token, before_init['cls_token'])
    assert_same(vit(IMAGE), model(IMAGE))
    after = snapshot(vit)
    vit.blocks[0].mlp.fc1.weight.data.add_(1)
    changed = snapshot(vit)
    vit.init_weights()
    assert_unchanged(vit, changed)
    assert not torch.equal(changed['blocks.0.mlp.fc1.weight'], after['blocks.0.mlp.fc1.weight'])


def test_prefix_and_reorder_are_settings(tmp_path):
    models = dict(online=pretrain_swin(), momentum=randomize(pretrain_swin(), seed=4))
    state = {}
    for name, model in models.items():
        state.update(before(f'{name}.', model.state_dict()))
    init_cfg = dict(checkpoint=save(state, tmp_path), prefix='momentum', reorder=True)
    swin = elastic_swin(init_cfg=dict(type='Pretrained', **init_cfg))
    swin.init_weights()
    assert_same(swin(LARGE), models['momentum'](LARGE))
    norms = swin.stages[0].blocks[0].mlp.fc2.weight.abs().sum(0)
    assert (norms.diff() <= 0).all()


def test_without_pretrained_the_initial_weights_stay():
    vit = elastic_vit()
    initial = snapshot(vit)
    vit.init_weights()
    assert vit.is_init
    assert_unchanged(vit, initial)


@pytest.mark.parametrize('family', ['ViT', 'Swin'])
def test_backbone_in_an_upstream_model(tmp_path, family):
    """As a drop-in backbone; the classifier initialises it among its other parts."""
    model = pretrain_vit() if family == 'ViT' else pretrain_swin()
    path = save(before('backbone.', model.state_dict()), tmp_path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    if family == 'ViT':
        settings = dict(space=VIT_SPACE, out_type='cls_token', **VIT)
        width, images, expected = 16, IMAGE.float(), model.norm1.weight
    else:
        settings = dict(space=SWIN_SPACE, head_dim=8, window_size=3, out_indices=(3,))
        width, images, expected = 64, LARGE.float(), model.norm3.weight
    with task_scope('mmpretrain'):
        classifier = ImageClassifier(
            backbone=dict(type=f'mdl_nas_mm.Elastic{family}', init_cfg=init_cfg, **settings),
            neck=dict(type='GlobalAveragePooling') if family == 'Swin' else None,
            head=dict(type='LinearClsHead', num_classes=5, in_channels=width),
        )
        classifier.init_weights()
    backbone = classifier.backbone
    assert backbone.is_init
    norm = backbone.norm if family == 'ViT' else backbone.norm3
    torch.testing.assert_close(norm.weight, expected.float())
    classifier.eval()
    assert classifier(images).shape == (len(images), 5)


def joint_model(backbone):
    """A classifier and a segmentor around one backbone."""
    slot = dict(type='mdl_nas_mm.BackboneSlot')
    classifier = dict(
        type='ImageClassifier',
        backbone=slot,
        head=dict(type='LinearClsHead', num_classes=5, in_channels=16),
    )
    head = dict(type='FCNHead', in_channels=16, channels=8, num_convs=1, num_classes=4)
    segmentor = dict(type='EncoderDecoder', backbone=slot, decode_head=head)
    tasks = dict(
        cls=dict(scope='mmpretrain', model=classifier), seg=dict(scope='mmseg', model=segmentor)
    )
    with task_scope('mdl_nas_mm'):
        return MODELS.build(dict(type='MultiTaskModel', backbone=backbone, tasks=tasks))


@pytest.mark.parametrize('sharing', ['Sequential', 'Mask', 'AllSpecific'])
def test_backbone_of_a_joint_model(tmp_path, sharing):
    """Every task's own weights start from the checkpoint too, so that both answer alike."""
    model = pretrain_vit()
    path = save(before('backbone.', model.state_dict()), tmp_path)
    settings = dict(VIT, out_type=dict(cls='cls_token', seg='featmap'), tasks=('cls', 'seg'))
    joint = joint_model(
        dict(
            type='ElasticViT',
            space=dict(VIT_SPACE, share_ratio=(0.3, 0.6)),
            sharing=sharing,
            init_cfg=dict(type='Pretrained', checkpoint=path),
            **settings,
        )
    )
    assert not joint.backbone.is_init
    joint.init_weights()
    assert joint.backbone.is_init
    own = [key for key in joint.backbone.state_dict() if '.specific.' in key]
    assert len(own) == 2 * 3 * 12
    joint.double().eval()
    for task, expected in dict(cls=pretrain_vit('cls_token'), seg=model).items():
        for ratio in (0, -1):
            spec = joint.backbone.space.largest(ratio)
            ours = joint.backbone.forward_subnet(IMAGE, task, spec)
            # The joint model was one of single precision.
            assert_same(ours, expected(IMAGE), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    'init_cfg, error, named',
    [
        (dict(checkpoint='/nowhere/weights.pth'), FileNotFoundError, '/nowhere/weights.pth'),
        (dict(prefix='backbone'), ValueError, "'checkpoint'"),
        (dict(checkpoint='x.pth', reoder=True), ValueError, "'reoder'"),
    ],
)
def test_wrong_settings_are_refused(init_cfg, error, named):
    with raises_naming(error, named):
        elastic_vit(init_cfg=dict(type='Pretrained', **init_cfg)).init_weights()


def test_refusals_name_the_file(tmp_path):
    path = save(pretrain_swin().state_dict(), tmp_path)
    vit = elastic_vit(init_cfg=dict(type='Pretrained', checkpoint=path))
    with raises_naming(ValueError, path, 'Swin'):
        vit.init_weights()

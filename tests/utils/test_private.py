"""What other libraries have not promised is still as ``utils/private.py`` takes it to be.

Each test says what is relied on and, where it fails, which release of which library is installed.
"""

import ast
import copy
import importlib
import io
import logging
from collections import OrderedDict
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine import hooks
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MMLogger
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.optim import LinearLR, OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader, Runner
from mmpretrain.models import ClsDataPreprocessor
from mmseg.models import FCNHead
from PIL import Image
from torch import nn

from mdl_nas_mm.utils import private


@pytest.fixture(autouse=True)
def releases(request):
    """Names the installed releases in what a failing test prints."""
    distributions = ('torch', 'numpy', 'mmengine', 'onedl-mmengine', 'mmpretrain', 'mmpose')
    found = []
    for name in (*distributions, 'onedl-mmpretrain'):
        try:
            found.append(f'{name} {metadata.version(name)}')
        except metadata.PackageNotFoundError:
            pass
    print('utils/private.py is used with', ', '.join(found))


class Net(BaseModel):
    """A model of one weight."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, *args, **kwargs):
        return dict(loss=self.layer.weight.sum())


def test_every_name_is_tested():
    defined, used = (ast.parse(Path(f).read_text()) for f in (private.__file__, __file__))
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = {node.name for node in defined.body if isinstance(node, kinds)}
    names |= {target.id for n in defined.body if isinstance(n, ast.Assign) for target in n.targets}
    assert names <= {node.attr for node in ast.walk(used) if isinstance(node, ast.Attribute)}


def test_numpy_unpickles_from_multiarray():
    (rebuild, _, _), scalar = np.zeros(2).__reduce__(), np.float64(1).__reduce__()[0]
    assert rebuild is private.MULTIARRAY._reconstruct
    assert scalar is private.MULTIARRAY.scalar


def test_every_batch_norm_is_one():
    kinds = [nn.BatchNorm1d(2), nn.BatchNorm2d(2), nn.BatchNorm3d(2), nn.SyncBatchNorm(2)]
    kinds.append(revert_sync_batchnorm(nn.SyncBatchNorm(2)))
    assert all(isinstance(norm, private.BatchNorm) for norm in kinds)
    assert not isinstance(nn.GroupNorm(1, 2), private.BatchNorm)


def test_leaves_are_walked_and_mapped():
    values = ([1, (2,)], {'a': 3})
    assert private.leaves(values) == [1, 2, 3]
    assert private.map_leaves(lambda value: -value, values) == ([-1, (-2,)], {'a': -3})


def test_changes_in_place_are_counted():
    tensor = torch.zeros(2)
    before = private.version_of(tensor)
    tensor.view(-1).add_(1)
    assert private.version_of(tensor) > before
    assert private.version_of(tensor.clone().detach()) == private.version_of(torch.zeros(2))
    with torch.inference_mode():
        assert private.version_of(torch.zeros(2)) == -1


def test_what_cannot_be_traced_raises_untraceable():
    error = private.untraceable()
    assert issubclass(error, Exception) and error.__module__.startswith('torch.')


@pytest.fixture
def processes(tmp_path):
    """A process group of one."""
    dist.init_process_group('gloo', f'file://{tmp_path / "store"}', rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


def test_default_store_is_that_of_the_processes(processes):
    private.default_store().set('key', 'value')
    assert private.default_store().get('key') == b'value'


def test_group_is_the_world_inside_the_block(processes):
    world, group = dist.group.WORLD, dist.new_group([0])
    with private.as_world(group):
        assert dist.group.WORLD is group
    assert dist.group.WORLD is world


def test_module_held_beside_is_no_part_and_goes_with_copies():
    net, other = Net(), nn.Linear(1, 1)
    private.hold_beside(net, 'backbone', other)
    assert net.backbone is other and copy.copy(net).backbone is other
    assert list(net.state_dict()) == ['layer.weight', 'layer.bias']
    net.eval()
    assert other.training


def test_what_is_held_beside_hides_a_parameter_until_it_is_let_go():
    net, weight = Net(), torch.zeros(1)
    own = net.layer.weight
    private.hold_beside(net.layer, 'weight', weight)
    assert net.layer.weight is weight and dict(net.named_parameters())['layer.weight'] is own
    private.let_go(net.layer, 'weight')
    private.let_go(net.layer, 'weight')
    assert net.layer.weight is own


def test_a_parameter_is_given_up():
    net = Net()
    private.give_up_parameter(net.layer, 'weight')
    assert list(net.state_dict()) == ['layer.bias'] and not hasattr(net.layer, 'weight')


def test_a_replaced_buffer_is_saved_as_before():
    net = Net()
    for name, is_saved in (('a', True), ('b', False)):
        net.register_buffer(name, torch.zeros(1), persistent=is_saved)
        private.replace_buffer(net, name, torch.ones(2))
        assert net.get_buffer(name).shape == (2,) and (name in net.state_dict()) == is_saved


def test_a_copy_has_another_child_and_shares_the_others():
    whole, other = nn.Sequential(OrderedDict(a=nn.Linear(2, 2), b=nn.Linear(2, 2))), nn.Identity()
    copied, x = private.with_child(whole, 'b', other), torch.randn(3, 2)
    torch.testing.assert_close(copied(x), whole.a(x))
    assert set(dict(copied.named_parameters())) == {'a.weight', 'a.bias'}
    assert copied.a is whole.a and isinstance(whole.b, nn.Linear)


def test_workers_start_with_what_a_loader_is_told_later():
    loader = torch.utils.data.DataLoader(range(2), num_workers=1)
    private.start_workers(loader, torch.manual_seed)
    assert loader.worker_init_fn is torch.manual_seed and list(loader) == [0, 1]


def test_scheduler_state_by_group_and_last_values():
    optimizer = torch.optim.SGD(Net().parameters(), lr=1.0)
    scheduler = LinearLR(optimizer, start_factor=0.5, end=4)
    assert isinstance(scheduler, private.ParamScheduler)
    state = scheduler.state_dict()
    assert set(private.SCHEDULED_BY_GROUP) <= set(state)
    optimizer.param_groups[0]['lr'] = 0.25
    private.set_last_values(scheduler)
    assert scheduler.get_last_value() == [0.25]


class Counted(private.OpenRunner):
    """Counts how often its model is initialized."""

    initialized = 0

    def initialize_weights(self):
        self.initialized += 1
        super().initialize_weights()


def test_runner_says_what_it_loads(tmp_path):
    torch.save(dict(state_dict=Net().state_dict()), tmp_path / 'weights.pth')
    settings = dict(work_dir=str(tmp_path), default_hooks=dict(checkpoint=None, logger=None))
    data = dict(dataset=[{}], batch_size=1, sampler=dict(type='DefaultSampler'))
    runner = Counted(
        Net(),
        train_dataloader=data,
        train_cfg=dict(by_epoch=False, max_iters=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        experiment_name='test_private',
        **settings,
    )
    assert not runner.resumes and not runner.has_loaded and runner.load_source is None
    runner.load_source = str(tmp_path / 'weights.pth')
    runner.load_or_resume()
    assert runner.has_loaded
    runner.has_loaded = False
    runner.train()
    assert runner.has_loaded and runner.initialized == 1
    assert runner._init_model_weights.__func__ is not Runner._init_model_weights


@pytest.mark.parametrize('stage', ['before_train_epoch', '_before_epoch', '_after_epoch'])
def test_hook_of_epochs_is_told_by_what_it_defines(stage):
    called = []
    kind = type('Own', (hooks.Hook,), {stage: lambda self, *args, **kwargs: called.append(stage)})
    kind().before_train_epoch(None), kind().after_train_epoch(None)
    assert called == [stage] and private.acts_by_epoch(kind)
    assert not private.acts_by_epoch(hooks.Hook)


@pytest.mark.parametrize('kind', [hooks.CheckpointHook, hooks.EarlyStoppingHook])
def test_hook_knows_that_more_of_a_metric_is_better(kind):
    ours = private.more_is_better('ours')(type('Own', (kind,), {}))
    key = 'monitor' if kind is hooks.EarlyStoppingHook else 'save_best'
    for metric in ('ours', 'acc'):
        hook = ours(**{key: metric})
        assert 'greater' in (getattr(hook, 'rule', ''), *getattr(hook, 'rules', ()))
    assert 'ours' not in kind._default_greater_keys


def test_checkpoint_hook_saves_no_best_any_more():
    hook = hooks.CheckpointHook(save_best='acc', rule='greater')
    private.save_no_best(hook)
    # A runner is not even asked.
    hook.after_val_epoch(None, dict(acc=1.0))


@pytest.mark.parametrize(
    ('library', 'name', 'key'),
    [
        ('mmpretrain', 'VisualizationHook', 'enable'),
        ('mmdet', 'DetVisualizationHook', 'draw'),
        ('mmseg', 'SegVisualizationHook', 'draw'),
        ('mmpose', 'PoseVisualizationHook', 'enable'),
    ],
)
def test_hook_draws_with_the_visualizer_it_is_given(library, name, key, tmp_path):
    engine = importlib.import_module(f'{library}.engine.hooks')
    samples = importlib.import_module(f'{library}.structures')
    kinds = dict(mmpretrain='DataSample', mmdet='DetDataSample', mmseg='SegDataSample')
    sample = getattr(samples, kinds.get(library, 'PoseDataSample'))()
    Image.new('RGB', (8, 8)).save(tmp_path / 'a.png')
    sample.set_metainfo(dict(img_path=str(tmp_path / 'a.png')))
    hook, visualizer = getattr(engine, name)(interval=1, **{key: True}), MagicMock()
    private.draw_into(hook, visualizer)
    runner = SimpleNamespace(iter=0, train_loop=None, val_evaluator=MagicMock())
    batch = dict(inputs=[torch.zeros(3, 8, 8)], data_samples=[sample])
    hook.after_val_iter(runner, 0, batch, [sample])
    assert visualizer.add_datasample.called or visualizer.visualize_cls.called


def test_wrapper_clips_with_what_it_is_told():
    net, asked = Net(), []
    wrapper = OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.1), clip_grad=dict(max_norm=1))
    assert wrapper.grad_name == 'grad_norm' and wrapper.clip_grad_kwargs == dict(max_norm=1)
    private.clip_with(wrapper, lambda parameters, **kwargs: asked.append(kwargs))
    wrapper.update_params(net()['loss'])
    assert asked == [dict(max_norm=1)]


def test_train_step_is_replaced_and_restored():
    net = Net()
    private.replace_train_step(net, lambda data, optim_wrapper: 'ours')
    assert net.train_step(None, None) == 'ours'
    private.restore_train_step(net)
    assert net.train_step.__func__ is BaseModel.train_step


def test_every_logger_is_known():
    made = [MMLogger.get_instance(f'test_private_{i}') for i in range(2)]
    assert all(any(logger is known for known in private.loggers()) for logger in made)


def test_a_handler_whose_stream_is_closed_writes_elsewhere():
    closed, other = io.StringIO(), io.StringIO()
    closed.close()
    screen = logging.StreamHandler(closed)
    private.show_on(screen, other)
    screen.handle(logging.makeLogRecord(dict(msg='a line')))
    assert other.getvalue() == 'a line\n'


def test_checkpoints_are_read_with_one_function_inside_the_block():
    before = dict(CheckpointLoader._schemes)

    def load_ours(filename, map_location=None):
        return filename

    with private.reading_with(('', 'http://'), load_ours):
        for name in ('a.pth', 'http://a.pth'):
            assert CheckpointLoader.load_checkpoint(name, logger=None) == name
    assert CheckpointLoader._schemes == before


def test_classifier_of_mmcls_gives_its_backbone():
    saved = dict(state_dict=OrderedDict({'backbone.w': torch.ones(1), 'head.w': torch.ones(1)}))
    assert list(private.from_mmcls(saved)['state_dict']) == ['w']


def test_history_buffer_takes_over_numbers():
    buffer = HistoryBuffer([1.0, 2.0], [1, 1], 5)
    state = buffer.__getstate__()
    ours = private.HistoryBufferOfNumbers.__new__(private.HistoryBufferOfNumbers)
    ours.__setstate__(state)
    assert type(ours) is HistoryBuffer
    for mine, theirs in zip(ours.data, buffer.data):
        assert mine.tolist() == theirs.tolist()


@pytest.mark.parametrize(
    'library, name', [('mmdet', 'DetInferencer'), ('mmseg', 'MMSegInferencer')]
)
def test_inferencer_takes_a_built_model(library, name):
    kind = getattr(pytest.importorskip(f'{library}.apis'), name)
    net = Net()
    around = private.inferencer_around(kind, net)
    assert around._init_model is not kind._init_model
    assert around._init_model(None, None, None, 'cpu') is net


def test_mmpretrain_asks_a_built_model_for_its_config():
    apis = pytest.importorskip('mmpretrain.apis')
    net, config = Net(), dict(model={}, test_dataloader=dict(dataset=dict(pipeline=[])))
    net.to('cpu')
    private.give_config(net, config)

    class Inferencer(apis.ImageClassificationInferencer):
        def _init_pipeline(self, cfg):
            assert cfg is config

    inferencer = Inferencer(net, device='cpu', classes=['a'])
    private.draw_with(inferencer, 'visualizer')
    assert inferencer.model is net and inferencer.visualizer == 'visualizer'


def test_mmpose_asks_its_detector_for_category_0():
    inferencers = pytest.importorskip('mmpose.apis.inferencers')
    inferencer = inferencers.Pose2DInferencer.__new__(inferencers.Pose2DInferencer)
    inferencer.model, inferencer.cfg = Net(), ConfigDict(data_mode='topdown')
    inferencer.model.dataset_meta = {}
    private.detect_with(inferencer, None)
    asked = []
    private.detect_with(inferencer, lambda *args, **kwargs: asked.append(args) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(inferencer.preprocess_single('a.png', 0))
    assert asked == [('a.png',)] and inferencer.det_cat_ids == (0,)


def test_a_decode_head_looks_at_its_maps():
    heads = pytest.importorskip('mmseg.models.decode_heads')
    maps = [torch.rand(1, width, 4, 4) for width in (2, 3, 5)]
    with DefaultScope.overwrite_default_scope('mmseg'):
        head = heads.FCNHead(in_channels=3, in_index=1, channels=2, num_classes=2)
    assert private.decoded_maps(head, maps) is maps[1]


def test_a_decode_head_classifies_what_it_has_made_of_the_maps():
    class Head(private.FeaturesOfHead, FCNHead):
        def features_of(self, inputs):
            return inputs[0]

    head = Head(num_convs=0, in_channels=2, channels=2, num_classes=3, concat_input=False).eval()
    maps = torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(head([maps]), head.cls_seg(maps))


def test_a_preprocessor_that_mixes_no_images():
    mixing = ClsDataPreprocessor(
        batch_augments=dict(augments=[dict(type='Mixup', alpha=0.8)], probs=[1.0])
    )
    assert mixing.batch_augments is not None
    assert private.without_mixing(mixing).batch_augments is None
    assert mixing.batch_augments is not None

"""Tasks with a data set, a transform or a head of the user's own."""

import numpy as np
import pytest
from extracting import WIDE, vit_config, write_deposit
from helpers import TASKS, refusal_of_tool
from mmengine.config import Config
from mmengine.dataset import Compose
from mmpretrain.datasets import CustomDataset
from mmpretrain.models import LinearClsHead
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from refusals import assert_names, raises_naming

from mdl_nas_mm.apis import MultiTaskInferencer, evaluate_deposit, load_task
from mdl_nas_mm.deposit import Deposit, verify
from mdl_nas_mm.deposit.extract import extract


class MyFolders(CustomDataset):
    """A data set whose class only its user has."""


class MyHead(LinearClsHead):
    """A head."""


class MyTransform(Compose):
    """A transform."""

    def __init__(self):
        super().__init__([])


NAME = f'{__name__}.MyFolders'


@pytest.fixture
def own():
    """The classes, as long as they are imported."""
    kinds = {DATASETS: MyFolders, MODELS: MyHead, TRANSFORMS: MyTransform}
    for registry, kind in kinds.items():
        registry.register_module(module=kind, force=True)
    yield lambda: [r.module_dict.pop(kind.__name__, None) for r, kind in kinds.items()]
    for registry, kind in kinds.items():
        registry.module_dict.pop(kind.__name__, None)


@pytest.fixture
def deposit(data, tmp_path, own):
    """Its classifier was validated on such a data set; nobody has the class any more."""
    cfg = vit_config(data)
    cfg.val_dataloader.cls.dataset.type = 'MyFolders'
    path = write_deposit(tmp_path / 'a.safetensors', cfg, dict.fromkeys(TASKS, WIDE))
    own()
    return path


def test_a_data_set_of_ones_own_is_needed_for_tests_alone(deposit, tmp_path):
    assert Deposit(deposit).tasks['cls']['needs'] == [NAME]
    assert all(verify(deposit).values())
    inferencer = MultiTaskInferencer(deposit, ['cls'], 'cpu', show_progress=False)
    (answer,) = inferencer(np.zeros((32, 32, 3), np.uint8))['cls']['predictions']
    assert answer['pred_class'] == str(answer['pred_label'])
    cfg = Config.fromfile(extract(deposit, 'cls', tmp_path / 'out'))
    assert 'test_dataloader' not in cfg and cfg.test_pipeline
    text = (tmp_path / 'out' / 'cls_config.py').read_text()
    assert f'if you trust it: --trust {NAME} --import {__name__}' in text


def test_a_test_says_what_to_type(deposit, monkeypatch):
    message = refusal_of_tool(monkeypatch, 'deposit', 'test', deposit, '--task', 'cls')
    where = ('error: deposit ', "'cls'", 'val_dataloader', 'dataset', "class 'MyFolders'")
    assert_names(message, *where, f'--trust {NAME} --import {__name__}')


def test_a_class_that_is_trusted_is_used(deposit, own):
    DATASETS.register_module(module=MyFolders, force=True)
    with raises_naming(ValueError, 'MyFolders', '--trust'):
        evaluate_deposit(deposit, ['cls'])
    ((score, _),) = evaluate_deposit(deposit, ['cls'], trust=(NAME,)).values()
    assert 0 <= score <= 100


@pytest.mark.parametrize('name', ['MyHead', 'MyTransform'])
def test_models_and_pipelines_are_packed_by_who_trusts_them(data, tmp_path, own, name):
    cfg = vit_config(data)
    if name == 'MyHead':
        cfg.model.tasks.cls.model.head.type = name
    else:
        cfg.val_dataloader.cls.dataset.pipeline.insert(1, dict(type=name))
    path, trust = tmp_path / 'a.safetensors', (f'{__name__}.{name}',)
    archs = dict.fromkeys(TASKS, WIDE)
    with raises_naming(ValueError, "'cls'", name):
        write_deposit(path, cfg, archs)
    assert not path.exists()
    write_deposit(path, cfg, archs, trust)
    assert Deposit(path).tasks['cls']['needs'] == list(trust)
    assert load_task(path, 'cls', trust=trust) is not None
    if name == 'MyHead':
        with raises_naming(ValueError, f'--trust {trust[0]} --import {__name__}'):
            load_task(path, 'cls')

"""The lists are wide enough: what the libraries' own configs use is let in, but for a reason."""

import importlib.util
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mdl_nas_mm.apis.metainfo import self_contained
from mdl_nas_mm.trust import refusals

LIBRARIES = ('mmpretrain', 'mmdet', 'mmseg', 'mmpose')
PARTS = ('model', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator')
# Reasons that are written down in ``refused.py`` and ``values.py``.
REASONS = re.compile(
    'fetches what it is told|loads a checkpoint|writes where|calls whatever|unpickles its files|'
    'runs what its files say|'
    'is evaluated|may be pickle|is a backbone, which loads|is not read as data|'
    'would open, fetch or write it|would be run as a config|no local backend|'
    "'configs/_base_/datasets/.*' is no dict"
)
# Nothing of this name is there, in the libraries themselves or without further packages.
ABSENT = re.compile('is not registered in|ask_install')
# Configs that their own libraries cannot use, or that are of words with detectors.
BROKEN = re.compile(
    r'(in_index: this argument of class MaskFormerHead|'
    r'loss_bbox: this argument of class QuasiDenseTrackHead|'
    r'force_grad_on_level: this argument of class FPN|eval_mode: this argument of class CocoMetric|'
    r'of class COCOCaption|caption_prompt|specific_key_path|text_prompt|custom_entities)'
)


def configs(library):
    root = Path(importlib.util.find_spec(library).origin).parent / '.mim' / 'configs'
    return [path for path in sorted(root.rglob('*.py')) if '_base_' not in path.parts]


def read(path):
    """A config's parts, with places for our backbones."""
    try:
        cfg = Config.fromfile(path).to_dict()
    except Exception:
        # Some ship broken.
        return None
    model = cfg.get('model')
    if isinstance(model, dict):
        model.pop('pretrained', None)
        if isinstance(cfg.get('data_preprocessor'), dict):
            model.setdefault('data_preprocessor', cfg['data_preprocessor'])
        with_slots(model)
    return cfg.get('default_scope') or '', {key: cfg[key] for key in PARTS if cfg.get(key)}


def with_slots(config):
    items = config.items() if isinstance(config, dict) else enumerate(config)
    for key, value in items:
        if key == 'backbone' and isinstance(value, dict):
            config[key] = dict(type='mdl_nas_mm.BackboneSlot')
        elif isinstance(value, (dict, list)):
            with_slots(value)


def sweep(library, step):
    wrong, let_in, total = {}, 0, 0
    for path in configs(library)[::step]:
        found = read(path)
        if found is None:
            continue
        scope, parts = found
        total += 1
        reasons = []
        for part, config in parts.items():
            reasons += [f'{part}, {r}' for r in refusals(scope or library, self_contained(config))]
        let_in += not reasons
        unexplained = [
            reason
            for reason in reasons
            if not any(each.search(reason) for each in (REASONS, ABSENT, BROKEN))
        ]
        if unexplained:
            wrong[path.name] = unexplained[:3]
    return wrong, let_in / total


@pytest.mark.parametrize('library', LIBRARIES)
def test_a_sample(library):
    wrong, let_in = sweep(library, 37)
    assert not wrong and let_in > 0.75


@pytest.mark.slow
@pytest.mark.parametrize('library', LIBRARIES)
def test_all(library):
    wrong, let_in = sweep(library, 1)
    assert not wrong and let_in > 0.75

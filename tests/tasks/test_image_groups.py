"""Tasks that say the same ``images`` are a group, also in a config that was written resolved."""

import pytest
from helpers import joint_config
from mmengine.config import Config
from refusals import raises_naming

from mdl_nas_mm.tasks import resolve_joint_config


def test_tasks_with_the_same_images_are_a_group(data, tmp_path):
    cfg = joint_config(data, changes={f'tasks.{task}.images': 'digits' for task in ('det', 'seg')})
    resolved = resolve_joint_config(cfg)
    assert resolved.image_groups == dict(digits=('det', 'seg'))
    assert [task.images for task in resolved.tasks.values()] == [None, 'digits', 'digits']
    resolved.dump(tmp_path / 'resolved.py')
    again = resolve_joint_config(Config.fromfile(tmp_path / 'resolved.py'))
    assert again.image_groups == resolved.image_groups


def test_images_of_one_task_mean_nothing(data):
    cfg = joint_config(data, changes={'tasks.det.images': 'digits'})
    assert resolve_joint_config(cfg).image_groups == {}


@pytest.mark.parametrize('name', ['two words', 3, 'cls'])
def test_a_name_that_no_images_can_have_is_refused(data, name):
    cfg = joint_config(data, changes={'tasks.det.images': name})
    with raises_naming(ValueError, "'det'", 'images', repr(name)):
        resolve_joint_config(cfg)

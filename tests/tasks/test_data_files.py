"""What the paths of a config lead to."""

import os

import pytest
from refusals import raises_naming

from mdl_nas_mm.tasks.data_files import check_kind


def loader(root, name):
    return dict(dataset=dict(type='CocoDataset', data_root=str(root), ann_file=name))


@pytest.mark.parametrize(
    ('root', 'name'), [('/dev', 'zero'), ('/proc/self', 'mem'), ('/', 'proc/kmsg'), ('/sys', '')]
)
def test_what_the_system_makes_up_is_no_data(root, name):
    with raises_naming(ValueError, 'deposit d', root):
        check_kind((loader(root, name), []), 'deposit d')


def test_files_and_folders_are_data_and_pipes_and_links_to_devices_are_none(tmp_path):
    (tmp_path / 'train.json').write_text('{}')
    check_kind([loader(tmp_path, 'train.json'), loader(tmp_path, 'absent.json')], 'it')
    os.mkfifo(tmp_path / 'pipe.json')
    (tmp_path / 'link.json').symlink_to('/dev/zero')
    for name in ('pipe.json', 'link.json'):
        with raises_naming(ValueError, 'it: ', name):
            check_kind(loader(tmp_path, name), 'it')

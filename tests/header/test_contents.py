"""What a deposit's header says is listed without looking up or making anything that it names."""

import pytest
from refusals import raises_naming
from small_deposit import manifest, write_header

from mdl_nas_mm.header.contents import contents


def test_tasks_scores_and_sizes(tmp_path):
    path = write_header(tmp_path / 'a.st', manifest(scored=51.234))
    names, task, shared, total = contents(path)
    assert names.split()[:4] == ['task', 'library', 'metric', 'score']
    # Elements of four bytes where no tensor tells.
    assert task.split()[:8] == ['seg', 'mmseg', 'mIoU', '51.23', '6,000', 'B', '2,000', 'B']
    assert task.endswith('75.0 %')
    assert '6,000 B' in shared and f'{path.stat().st_size:,} B' in shared
    assert '2,007 parameters, 2,007 as separate models' in total


def test_how_a_score_is_had_where_none_is_stored(tmp_path):
    path = write_header(tmp_path / 'a.st', manifest())
    assert any('seg' in line and 'mdl-nas deposit test' in line for line in contents(path))


@pytest.mark.parametrize('name', ['\x1b[31mred', 'a\nb'])
def test_what_a_terminal_obeys_is_refused(tmp_path, name):
    said = manifest()
    said['control'] = dict(
        front=[],
        latency=[dict(timing=dict(device='cuda', batch_size=1), about=dict(hardware=name))],
    )
    with raises_naming(ValueError, 'a.st', 'machine'):
        list(contents(write_header(tmp_path / 'a.st', said)))


def test_files_that_are_none(tmp_path):
    with raises_naming(FileNotFoundError, 'absent'):
        list(contents(tmp_path / 'absent'))
    path = write_header(tmp_path / 'a.st', manifest())
    content = path.read_bytes()
    for cut in (0, 5, 40, len(content) - 1):
        path.write_bytes(content[:cut])
        with raises_naming(ValueError, 'a.st'):
            list(contents(path))
    path.write_bytes(content.replace(b'mIoU', b'mAcc'))
    with raises_naming(ValueError, 'a.st', 'checksum'):
        list(contents(path))

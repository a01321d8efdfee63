"""The bundled demonstration data: same bytes, disjoint splits, all or nothing."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import raises_naming
from sklearn.datasets import load_digits

from mdl_nas_mm.datasets import DOMAINS, SPLITS, plot_contact_sheet, write_demo_data
from mdl_nas_mm.datasets.digits import split_digits
from mdl_nas_mm.datasets.render import render_digit, render_pose, turned_digit

SCALE = 0.05


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('data') / 'demo'
    write_demo_data(path, scale=SCALE, progress=False)
    return path


def digest(root: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(root.rglob('*')):
        whole.update(str(path.relative_to(root)).encode())
        if path.is_file():
            whole.update(path.read_bytes())
    return whole.hexdigest()


def split_of(name: str) -> str:
    """The split of an image, from its path as users of these formats see it."""
    parts = Path(name).parts
    folder = parts[1] if parts[0] in ('cls', 'sketch') else parts[2]
    return dict(training='train', validation='val').get(folder, folder)


def test_same_seed_gives_same_bytes(root, tmp_path):
    write_demo_data(tmp_path / 'again', scale=SCALE, progress=False)
    write_demo_data(tmp_path / 'other', seed=1, scale=SCALE, progress=False)
    assert digest(tmp_path / 'again') == digest(root)
    assert digest(tmp_path / 'other') != digest(root)


def test_splits_divide_all_digits_with_all_classes():
    digits = load_digits()
    splits = split_digits(digits.target, seed=3)
    together = [digit for split in SPLITS for digit in splits[split]]
    assert sorted(together) == list(range(1797))
    for split in SPLITS:
        counts = np.bincount(digits.target[splits[split]], minlength=10)
        assert counts.max() <= 1.5 * counts.min()
        assert set(digits.target[splits[split][:10]]) == set(range(10))
    pictures = {split: {digits.images[i].tobytes() for i in splits[split]} for split in SPLITS}
    assert sum(map(len, pictures.values())) == len(set.union(*pictures.values()))


def test_no_digit_is_in_two_splits_of_any_domain(root):
    sources = json.loads((root / 'sources.json').read_text())
    written = {
        str(path.relative_to(root))
        for path in root.rglob('*.png')
        if not path.is_relative_to(root / 'seg' / 'annotations')
    }
    assert set(sources) == written
    seen: dict[str, set[int]] = {split: set() for split in SPLITS}
    for name, shown in sources.items():
        assert shown
        seen[split_of(name)].update(shown)
    assert all(seen.values())
    assert not seen['train'] & seen['val']
    assert not seen['train'] & seen['search']
    assert not seen['search'] & seen['val']


@pytest.mark.slow
def test_full_size_uses_every_digit_and_keeps_the_splits_apart(tmp_path):
    write_demo_data(tmp_path / 'demo', progress=False)
    sources = json.loads((tmp_path / 'demo' / 'sources.json').read_text())
    splits = split_digits(load_digits().target, seed=0)
    for domain in DOMAINS:
        for split in SPLITS:
            names = [n for n in sources if n.startswith(domain) and split_of(n) == split]
            shown = {digit for name in names for digit in sources[name]}
            assert shown <= set(splits[split])
            if domain in ('cls', 'sketch'):
                assert shown == set(splits[split])
    assert len(sources) <= 12_000


def test_labels_are_those_of_the_source_digits(root):
    target = load_digits().target
    sources = json.loads((root / 'sources.json').read_text())
    for split in SPLITS:
        content = json.loads((root / 'det' / 'annotations' / f'{split}.json').read_text())
        names = {image['id']: image['file_name'] for image in content['images']}
        shown: dict[str, list[int]] = {}
        for note in content['annotations']:
            assert note['category_id'] == target[note['source_digit']] + 1
            name = f'det/images/{split}/{names[note["image_id"]]}'
            shown.setdefault(name, []).append(note['source_digit'])
        assert shown == {n: d for n, d in sources.items() if n.startswith(f'det/images/{split}/')}
    for name, digits in sources.items():
        if name.startswith(('cls', 'sketch')):
            assert Path(name).parent.name == str(target[digits[0]])
        elif name.startswith('seg'):
            labels = np.asarray(Image.open(root / name.replace('/images/', '/annotations/')))
            assert set(np.unique(labels)) == {0} | {target[digit] + 1 for digit in digits}


def test_keypoints_are_the_corners_of_the_turned_digit(root):
    """In the images, ink lies inside of the four corners, and they are a turned rectangle."""
    content = json.loads((root / 'pose' / 'annotations' / 'train.json').read_text())
    assert len(content['annotations']) == len(content['images'])
    for note in content['annotations']:
        points = np.array(note['keypoints']).reshape(5, 3)
        assert (points[:, 2] == 2).all() and note['num_keypoints'] == 5
        corners, centre = points[:4, :2], points[4, :2]
        assert (points[:, :2] >= 0).all() and (points[:, :2] <= 40).all()
        assert np.allclose(corners.mean(0), centre, atol=0.02)
        across, down = corners[1] - corners[0], corners[3] - corners[0]
        assert abs(across @ down) < 0.5 and np.allclose(corners[2], corners[0] + across + down, 0.1)
        # Read from left to right, at most 40 degrees turned.
        assert np.cos(np.deg2rad(41)) < across[0] / np.linalg.norm(across)
        left, top, width, height = note['bbox']
        assert np.allclose([left, top], points[:, :2].min(0))
        assert np.allclose([left + width, top + height], points[:, :2].max(0), atol=0.02)


def test_ink_of_a_turned_digit_is_inside_its_frame():
    rng, images = np.random.default_rng(0), load_digits().images
    for index in range(30):
        image, points = render_pose(images[index], rng)
        middle = np.median(image.reshape(-1, 3), axis=0)
        ink = np.abs(image.astype(float) - middle).sum(-1) > 150
        y, x = np.nonzero(ink)
        across, down = points[1] - points[0], points[3] - points[0]
        places = np.stack((x, y), 1) + 0.5 - points[0]
        along = places @ across / (across @ across), places @ down / (down @ down)
        margin = 2 / min(np.linalg.norm(across), np.linalg.norm(down))
        assert len(x) > 20
        for part in along:
            inside = (part > -margin) & (part < 1 + margin)
            assert inside.mean() > 0.98


def test_a_digit_that_is_not_turned_fills_its_frame():
    pixels = load_digits().images[3]
    alpha, points = turned_digit(pixels, 20, 0.0)
    assert np.array_equal(alpha, render_digit(pixels, 20))
    height, width = alpha.shape
    expected = [(0, 0), (width, 0), (width, height), (0, height), (width / 2, height / 2)]
    assert np.allclose(points, expected)


def test_second_call_writes_nothing_and_repairs_what_is_missing(root, tmp_path):
    path = tmp_path / 'demo'
    first = write_demo_data(path, scale=SCALE, progress=False)
    before = {file: file.stat().st_mtime_ns for file in path.rglob('*')}
    assert write_demo_data(path, scale=SCALE, progress=False) == first
    assert {file: file.stat().st_mtime_ns for file in path.rglob('*')} == before
    next((path / 'seg' / 'images' / 'training').glob('*.png')).unlink()
    write_demo_data(path, scale=SCALE, progress=False)
    assert digest(path) == digest(root)
    assert [p.name for p in tmp_path.iterdir()] == ['demo']


def fail_in_the_middle(monkeypatch, reason):
    """Lets the fortieth image fail to be saved."""
    save, saved = Image.Image.save, []

    def failing(image, *args, **kwargs):
        saved.append(image)
        if len(saved) == 40:
            raise reason
        save(image, *args, **kwargs)

    monkeypatch.setattr(Image.Image, 'save', failing)


@pytest.mark.parametrize('reason', [KeyboardInterrupt, OSError('disk full')])
def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch, reason):
    fail_in_the_middle(monkeypatch, reason)
    with pytest.raises((KeyboardInterrupt, OSError)):
        write_demo_data(tmp_path / 'demo', scale=SCALE, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_replacing_keeps_the_old_data(root, tmp_path, monkeypatch):
    path = tmp_path / 'demo'
    write_demo_data(path, scale=SCALE, progress=False)
    fail_in_the_middle(monkeypatch, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        write_demo_data(path, seed=5, scale=SCALE, progress=False)
    assert digest(path) == digest(root)


def test_leftovers_of_killed_writers_are_removed(tmp_path):
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    (tmp_path / f'.demo.partial-{gone.pid}' / 'cls').mkdir(parents=True)
    (tmp_path / f'.demo.partial-{os.getppid()}').mkdir()
    write_demo_data(tmp_path / 'demo', scale=SCALE, progress=False)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'demo', f'.demo.partial-{os.getppid()}'}


def test_foreign_folder_is_refused_and_kept(tmp_path):
    (tmp_path / 'demo').mkdir()
    (tmp_path / 'demo' / 'thesis.txt').write_text('mine')
    with raises_naming(FileExistsError, tmp_path / 'demo'):
        write_demo_data(tmp_path / 'demo', scale=SCALE, progress=False)
    assert (tmp_path / 'demo' / 'thesis.txt').read_text() == 'mine'


def test_scale_must_be_positive(tmp_path):
    with raises_naming(ValueError, 'scale', 0):
        write_demo_data(tmp_path / 'demo', scale=0)


@pytest.mark.parametrize('domain', DOMAINS)
def test_contact_sheet_is_drawn(root, tmp_path, domain):
    plot_contact_sheet(root, domain, tmp_path / 'sheet.png', columns=4, rows=2)
    sheet = np.asarray(Image.open(tmp_path / 'sheet.png'))
    assert sheet.std() > 20


def test_contact_sheet_without_data_says_so(tmp_path):
    with raises_naming(FileNotFoundError, tmp_path / 'det'):
        plot_contact_sheet(tmp_path, 'det', tmp_path / 'sheet.png')

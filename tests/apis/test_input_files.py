"""Files that are no good are named and left out, and no file ends what others need."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from helpers import read_json, refusal_of_tool
from mmengine.logging import MMLogger
from PIL import Image
from refusals import assert_names, raises_naming

from mdl_nas_mm.apis import MultiTaskInferencer
from mdl_nas_mm.apis.image_files import MAX_PIXELS, BadImage, read_image
from mdl_nas_mm.apis.output_files import side_by_side

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
TOO_LARGE = 'max_pixels (--max-pixels) says how many there may be'


@pytest.fixture(scope='module')
def inferencer(deposits):
    return MultiTaskInferencer(deposits['digit'], ['cls', 'seg'], 'cpu', show_progress=False)


def write_png(path, pixels=PIXELS):
    cv2.imwrite(str(path), pixels)
    return path


def png_header(width, height):
    """A PNG that tells of so many pixels, and holds none of them."""
    chunks = [(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)), (b'IDAT', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
        for name, data in chunks
    )


def write_bad_files(folder):
    """Name -> how the reason why it is left out begins."""
    photo = cv2.imencode('.jpg', cv2.resize(PIXELS, (240, 200)))[1].tobytes()
    (folder / 'a_cut.png').write_bytes(write_png(folder / 'b.png').read_bytes()[:-40])
    (folder / 'c_cut.jpg').write_bytes(photo[: len(photo) // 2])
    (folder / 'd_empty.jpg').touch()
    (folder / 'e_text.jpg').write_text('no image')
    (folder / 'f_folder.jpg').mkdir()
    (folder / 'g_gone.jpg').symlink_to(folder / 'nowhere')
    (folder / 'h_large.png').write_bytes(png_header(20_000, 20_000))
    (folder / 'i_larger.png').write_bytes(png_header(10_001, 10_000))
    os.mkfifo(folder / 'j_pipe.png')
    Path(os.fsdecode(bytes(folder) + b'/k_\xff.jpg')).write_bytes(photo)
    for hidden in ('.DS_Store', '._l.jpg', 'Thumbs.db', '.hidden.png'):
        (folder / hidden).write_text('hidden')
    (folder / 'm.jpg').write_bytes(photo)
    return {
        'a_cut.png': 'is damaged or cut short',
        'c_cut.jpg': 'is damaged or cut short',
        'd_empty.jpg': 'is empty',
        'e_text.jpg': 'is no image that OpenCV can read',
        'f_folder.jpg': 'is a folder',
        'g_gone.jpg': 'is not there',
        'h_large.png': f'has 400,000,000 pixels, more than {MAX_PIXELS:,}; {TOO_LARGE}',
        'i_larger.png': f'has 100,010,000 pixels, more than {MAX_PIXELS:,}; {TOO_LARGE}',
        'j_pipe.png': 'is no regular file',
        r'k_\udcff.jpg': 'has a name that is not UTF-8',
    }


@pytest.mark.parametrize('batch_size', [1, 3])
def test_bad_files_of_a_folder_are_named_and_the_others_used(inferencer, tmp_path, batch_size):
    expected, bad = write_bad_files(tmp_path), {}
    results = inferencer(tmp_path, batch_size=batch_size, on_bad=bad.__setitem__)
    assert {path.rpartition('/')[2]: reason for path, reason in bad.items()} == expected
    good = inferencer([tmp_path / 'b.png', tmp_path / 'm.jpg'])
    for task in ('cls', 'seg'):
        pairs = zip(results[task]['predictions'], good[task]['predictions'], strict=True)
        assert all(str(found) == str(expected) for found, expected in pairs)


def test_without_being_asked_a_folder_warns_and_a_named_file_is_an_error(
    inferencer, tmp_path, monkeypatch
):
    warnings, folder = [], tmp_path / 'folder'
    folder.mkdir()
    write_png(folder / 'good.png')
    (folder / 'empty.jpg').touch()
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'warning', warnings.append)
    assert len(inferencer(folder)['cls']['predictions']) == 1
    assert warnings == [f'{folder / "empty.jpg"} is empty; it is left out']
    with raises_naming(BadImage, 'empty.jpg'):
        inferencer([folder / 'good.png', folder / 'empty.jpg'], out_dir=tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_the_limit_of_pixels_may_be_another(inferencer, tmp_path):
    path, count = write_png(tmp_path / 'a.png'), PIXELS.shape[0] * PIXELS.shape[1]
    for image in (path, PIXELS):
        assert inferencer(image, max_pixels=count)['cls']['predictions']
        with raises_naming(ValueError, '1,920 pixels', '1,919', TOO_LARGE):
            inferencer(image, max_pixels=count - 1)


def test_a_file_that_goes_away_meanwhile(inferencer, tmp_path):
    paths = [write_png(tmp_path / f'{number}.png') for number in range(3)]
    bad, results = {}, []
    for answers in inferencer.stream(paths, on_bad=bad.__setitem__):
        results.append(answers)
        paths[1].unlink(missing_ok=True)
    assert len(results) == 2 and bad == {str(paths[1]): 'is not there'}


@pytest.mark.parametrize('batch_size', [1, 4])
def test_an_image_that_a_model_fails_on(inferencer, monkeypatch, tmp_path, batch_size):
    """Also where it is one of a batch, which the others are then taken out of."""
    paths = [write_png(tmp_path / f'{number}.png', PIXELS + number) for number in range(4)]
    segmentor, bad = inferencer.passes.inferencers['seg'], {}
    prepare = segmentor.prepare

    def picky(sources, persons):
        if str(paths[2]) in sources:
            raise RuntimeError('too hard\nat length')
        return prepare(sources, persons)

    expected = [inferencer(paths[i])['seg']['predictions'][0] for i in (0, 1, 3)]
    monkeypatch.setattr(segmentor, 'prepare', picky)
    found = inferencer(paths, batch_size=batch_size, on_bad=bad.__setitem__)['seg']['predictions']
    assert bad == {str(paths[2]): "failed in task 'seg': RuntimeError: too hard"}
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))
    with raises_naming(BadImage, '2.png', "'seg'"):
        inferencer(paths, batch_size=batch_size)


def test_a_video_that_ends_early_is_told(inferencer, tmp_path, monkeypatch):
    path, warnings = tmp_path / 'clip.avi', []
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (48, 40))
    for _ in range(10):
        writer.write(PIXELS)
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', warnings.append)
    count = len(inferencer(path)['cls']['predictions'])
    assert 0 < count < 10
    assert warnings == [f'{path} has ended after {count} of the 10 frames that it tells of']


def test_images_of_unusual_kinds(tmp_path):
    """They are what mmcv makes of them: 8 bits, three channels, as the camera was held."""
    rgb = mmcv.bgr2rgb(PIXELS)
    grey, picture = rgb[..., 0], Image.fromarray(rgb)
    turned = Image.Exif()
    turned[0x112] = 6
    cv2.imwrite(str(tmp_path / '16.png'), PIXELS.astype(np.uint16) * 257)
    Image.fromarray(np.dstack([rgb, grey])).save(tmp_path / 'alpha.png')
    Image.fromarray(grey).save(tmp_path / 'grey.png')
    picture.convert('P').save(tmp_path / 'palette.png')
    picture.convert('CMYK').save(tmp_path / 'cmyk.jpg')
    picture.save(tmp_path / 'turned.jpg', exif=turned)
    for suffix in ('webp', 'tif'):
        path = tmp_path / f'several.{suffix}'
        picture.save(path, save_all=True, append_images=[picture.rotate(90)])
    found = {path.name: read_image(path, MAX_PIXELS) for path in tmp_path.iterdir()}
    assert len(found) == 8
    for name, pixels in found.items():
        height, width = (48, 40) if name == 'turned.jpg' else (40, 48)
        assert pixels.shape == (height, width, 3) and pixels.dtype == np.uint8
    for name in ('16.png', 'alpha.png', 'several.tif'):
        assert (found[name] == PIXELS).all()
    assert (found['grey.png'] == grey[..., None]).all()


def test_files_of_one_name_and_of_unusual_names(inferencer, tmp_path):
    folders = [tmp_path / 'one', tmp_path / 'two']
    long = 'é' * 125
    for folder in folders:
        folder.mkdir()
        for name in ('a.jpg', 'a.png', 'a_2.png', '写真 1.png', f'{long}.png'):
            cv2.imwrite(str(folder / name), PIXELS)
    inferencer(folders, out_dir=tmp_path / 'out')
    short = 'é' * 100
    names = [f'a{end}' for end in ('', '_2', '_2_2', '_3', '_4', '_2_3')]
    names += [short, f'{short}_2', '写真 1', '写真 1_2']
    for task in ('cls', 'seg'):
        found = {path.stem for path in (tmp_path / 'out' / 'preds' / task).glob('*.json')}
        assert found == set(names)
    assert len(list((tmp_path / 'out' / 'vis').glob('*.[pj][np]g'))) == 10


def test_interrupted_in_the_middle_all_files_are_whole(inferencer, tmp_path, monkeypatch):
    paths, write, calls = [write_png(tmp_path / f'{n}.png') for n in range(3)], Path.write_bytes, []

    def interrupted(self, data):
        calls.append(self)
        if len(calls) == 9:
            write(self, data[:10])
            raise KeyboardInterrupt
        return write(self, data)

    monkeypatch.setattr(Path, 'write_bytes', interrupted)
    with pytest.raises(KeyboardInterrupt):
        inferencer(paths, out_dir=tmp_path / 'out')
    files = [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]
    assert len(files) == 8 and not [path for path in files if path.name.startswith('.')]
    for path in files:
        assert read_json(path) if path.suffix == '.json' else mmcv.imread(path, 'unchanged').size


def test_a_folder_that_cannot_be_written_is_told_before_anything_runs(inferencer, tmp_path):
    path = write_png(tmp_path / 'a.png')
    for out in (path, path / 'below'):
        with raises_naming(ValueError, 'out_dir', out):
            inferencer(path, out_dir=out)
    if os.geteuid():
        (tmp_path / 'locked').mkdir(mode=0o500)
        with raises_naming(ValueError, tmp_path / 'locked'):
            inferencer(path, out_dir=tmp_path / 'locked')


@pytest.mark.parametrize('shape', [(1, 3000), (3000, 1), (1, 1)])
def test_drawings_of_long_images_fit_beside_each_other(shape):
    together = side_by_side({'image': np.zeros((*shape, 3), np.uint8)})
    assert together.shape[0] <= 24 + 960 and together.shape[1] <= 484


def test_the_tool_goes_on_and_its_exit_status_says_it(deposits, tmp_path, monkeypatch, capsys):
    folder, out = tmp_path / 'photos', tmp_path / 'out'
    folder.mkdir()
    expected = write_bad_files(folder)
    arguments = ('--tasks', 'cls', '--device', 'cpu', '--out-dir', out)
    message = refusal_of_tool(monkeypatch, 'infer', deposits['digit'], folder, *arguments)
    assert_names(message, 'error: ', len(expected), f'{len(expected) + 2} images')
    told = capsys.readouterr()
    assert f'2 images, cls: see {out}' in told.out
    assert [line for line in told.err.splitlines() if line.startswith('left out: ')] == [
        f'left out: {folder / name} {reason}' for name, reason in expected.items()
    ]
    assert sorted(path.name for path in (out / 'preds' / 'cls').iterdir()) == ['b.json', 'm.json']
    alone = (folder / 'd_empty.jpg', '--max-pixels', 5, *arguments)
    message = refusal_of_tool(monkeypatch, 'infer', deposits['digit'], *alone)
    assert_names(message, 'error: ', '1 of 1 images')

"""A picture of what is in the demonstration data."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

PALETTE = (
    (40, 40, 40),
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
    (250, 190, 212),
)
_TILE = 144
_SPLIT_FOLDERS = dict(
    cls='cls/train',
    det='det/images/train',
    seg='seg/images/training',
    sketch='sketch/train',
    pose='pose/images/train',
)


def plot_contact_sheet(
    root: str | Path, domain: str, path: str | Path, columns: int = 10, rows: int = 6
) -> None:
    """Shows training images of one domain side by side, with what is annotated.

    Detection shows boxes and class names, segmentation its label map below
    each image, poses the keypoints.

    Args:
        root: Where ``write_demo_data`` wrote.
        domain: one of ``DOMAINS``.
        path: The PNG to write.
        columns: Images a row.
        rows: Rows of images.

    Raises:
        FileNotFoundError: There is no image of that domain below ``root``.
    """
    root = Path(root)
    folder = root / _SPLIT_FOLDERS[domain]
    files = sorted(folder.rglob('*.png'))
    if not files:
        raise FileNotFoundError(f'no images in {folder}; write the demonstration data first')
    every = max(len(files) // (columns * rows), 1)
    if domain in ('det', 'pose'):
        tile_of = _with_annotations(root / domain)
    else:
        tile_of = _with_labels if domain == 'seg' else _plain
    tiles = [tile_of(file) for file in files[::every][: columns * rows]]
    width, height = tiles[0].size
    sheet = Image.new('RGB', (columns * (width + 4), rows * (height + 4)), 'white')
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (i % columns * (width + 4) + 2, i // columns * (height + 4) + 2))
    sheet.save(path, format='PNG')


def _plain(file: Path) -> Image.Image:
    image = Image.open(file).convert('RGB')
    times = _enlargement(image)
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def _enlargement(image: Image.Image) -> int:
    return max(_TILE // image.width, 1)


def _with_labels(file: Path) -> Image.Image:
    image = _plain(file)
    labels = np.asarray(Image.open(file.parents[2] / 'annotations' / file.parent.name / file.name))
    coloured = Image.fromarray(np.array(PALETTE, dtype=np.uint8)[labels])
    both = Image.new('RGB', (image.width, 2 * image.height))
    both.paste(image, (0, 0))
    both.paste(coloured.resize(image.size, Image.Resampling.NEAREST), (0, image.height))
    return both


def _with_annotations(folder: Path) -> Callable[[Path], Image.Image]:
    """A function that draws a training image with its boxes or its keypoints."""
    content = json.loads((folder / 'annotations' / 'train.json').read_text(encoding='utf-8'))
    names = {category['id']: category['name'] for category in content['categories']}
    files = {image['id']: image['file_name'] for image in content['images']}
    by_name: dict[str, list] = {name: [] for name in files.values()}
    for note in content['annotations']:
        by_name[files[note['image_id']]].append(note)

    def tile_of(file: Path) -> Image.Image:
        image = _plain(file)
        times = _enlargement(Image.open(file))
        pen = ImageDraw.Draw(image)
        for note in by_name[file.name]:
            if 'keypoints' in note:
                points = np.array(note['keypoints']).reshape(-1, 3)[:, :2] * times
                for (x, y), colour in zip(points.tolist(), PALETTE[1:]):
                    pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour, outline='white')
                continue
            left, top, width, height = (value * times for value in note['bbox'])
            pen.rectangle((left, top, left + width - 1, top + height - 1), outline='white')
            pen.text((left + 3, top + 1), names[note['category_id']], fill='white')
        return image

    return tile_of

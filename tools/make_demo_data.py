"""Writes the bundled demonstration data: no network, a minute at most.

python tools/make_demo_data.py --root data/demo --preview work_dirs/demo_data
python tools/make_demo_data.py --what rooms --root data/rooms
"""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

from mdl_nas_mm.utils.command_line import Parser


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--what',
        default='digits',
        choices=('digits', 'rooms', 'videos'),
        help='Images of digits, rooms with dense labels, or videos (default: %(default)s).',
    )
    parser.add_argument(
        '--root', default='data/demo', help='Folder of the data (default: %(default)s).'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='Seed of splits and images (default: %(default)s).'
    )
    parser.add_argument(
        '--scale',
        type=float,
        default=1.0,
        help='Multiplies the images, and the videos (default: %(default)s).',
    )
    parser.add_argument(
        '--preview', help='Folder for one picture of each domain of digits (default: no pictures).'
    )
    args = parser.parse_args()
    if args.preview and args.what != 'digits':
        parser.error(f'--preview shows digits alone, not {args.what}')
    if not 0 < args.scale < math.inf:
        parser.error(f'--scale is {args.scale}, expected a positive number')
    return args


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.datasets.rooms import IMAGES, VIDEOS, write_room_videos, write_rooms
    from mdl_nas_mm.engine.errors import one_line_errors

    def scaled(counts: Mapping[str, int]) -> dict[str, int]:
        return {split: max(round(count * args.scale), 1) for split, count in counts.items()}

    with one_line_errors():
        if args.what == 'digits':
            write_digits(args)
        elif args.what == 'rooms':
            manifest = write_rooms(args.root, seed=args.seed, images=scaled(IMAGES))
            print(', '.join(f'{split} {n}' for split, n in manifest['images'].items()))
        else:
            write_room_videos(args.root, seed=args.seed, videos=scaled(VIDEOS), avi=True)
    print(f'in {args.root}')


def write_digits(args: argparse.Namespace) -> None:
    """The domains of digits, with a picture of each if asked for."""
    from mdl_nas_mm.datasets import DOMAINS, plot_contact_sheet, write_demo_data

    manifest = write_demo_data(args.root, seed=args.seed, scale=args.scale)
    for domain, counts in manifest['images'].items():
        print(f'{domain}: ' + ', '.join(f'{split} {n}' for split, n in counts.items()))
    if args.preview:
        Path(args.preview).mkdir(parents=True, exist_ok=True)
        for domain in DOMAINS:
            plot_contact_sheet(args.root, domain, Path(args.preview) / f'{domain}.png')


if __name__ == '__main__':
    main()

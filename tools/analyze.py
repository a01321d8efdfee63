"""Counts parameters and FLOPs: python tools/analyze.py CONFIG [--joint-spec FILE] [--json]."""

import argparse
import json

from mmengine.config import Config, DictAction
from rich.console import Console

from mdl_nas_mm.apis.analyze import analyze
from mdl_nas_mm.engine.checkpoint import read_checkpoint
from mdl_nas_mm.tasks import choose_joint_spec, resolve_joint_config
from mdl_nas_mm.utils.quiet import quiet
from mdl_nas_mm.visualization.analysis import analysis_tables


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Print parameters and FLOPs (multiply-adds of one image) of every task of a '
        'joint config, and what they store together. Needs neither weights nor data.'
    )
    parser.add_argument('config', help='path of a joint config')
    parser.add_argument('--joint-spec', help='JSON of the architectures; by default the largest')
    parser.add_argument('--checkpoint', help='supernet whose mask scores decide what is shared')
    parser.add_argument(
        '--input-size',
        nargs='+',
        default=[],
        metavar='TASK=HEIGHTxWIDTH',
        help="sizes of the images, such as det=800x1280; by default of each task's validation",
    )
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value to override')
    return parser.parse_args()


def parse_sizes(texts: list[str]) -> dict[str, tuple[int, int]]:
    """Task -> (height, width) from 'det=800x1280' or 'cls=224'."""
    sizes = {}
    for text in texts:
        task, _, size = text.partition('=')
        sides = size.split('x')
        if not (len(sides) in (1, 2) and all(side.isdecimal() for side in sides)):
            raise ValueError(f'--input-size {text!r}: expected TASK=HEIGHTxWIDTH')
        sizes[task] = (int(sides[0]), int(sides[-1]))
    return sizes


def main() -> None:
    args = parse_args()
    try:
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
        if args.joint_spec:
            choose_joint_spec(cfg, args.joint_spec)
        cfg = resolve_joint_config(cfg, check_files=False)
        scores = None
        if args.checkpoint:
            state = read_checkpoint(args.checkpoint)['state_dict'].items()
            scores = {
                k[len('backbone.') : -len('.score')]: v.numpy()
                for k, v in state
                if k.startswith('backbone.') and k.endswith('.score')
            }
        with quiet():
            report = analyze(cfg, input_sizes=parse_sizes(args.input_size), scores=scores)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f'error: {error}') from error
    if args.json:
        print(json.dumps(report))
        return
    for table in analysis_tables(report):
        Console().print(table)


if __name__ == '__main__':
    main()

"""Counts parameters and FLOPs: python tools/analyze.py CONFIG [--joint-spec FILE] [--json]."""

import argparse
import json
import sys

from mdl_nas_mm.utils.command_line import (
    Parser,
    add_cfg_options,
    add_trust_checkpoint,
    parse_sizes,
    size_of_task,
    there,
)


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Print parameters and FLOPs (multiply-adds of one image) of every task of a '
        'joint config, and what they store together. Needs neither weights nor data.'
    )
    parser.add_argument('config', type=there('config'), help='Path of a joint config.')
    text = 'JSON of the architectures (default: those of the config, or the largest).'
    parser.add_argument('--joint-spec', help=text)
    parser.add_argument('--checkpoint', help='Supernet whose mask scores decide what is shared.')
    parser.add_argument(
        '--input-size',
        nargs='+',
        type=size_of_task,
        default=[],
        metavar='TASK=HEIGHTxWIDTH',
        help="Sizes of the images, such as det=800x1280 (default: of each task's validation).",
    )
    parser.add_argument(
        '--json', action='store_true', help='Print one JSON object (default: tables).'
    )
    add_trust_checkpoint(parser)
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from rich.console import Console

    from mdl_nas_mm.apis.analyze import analyze
    from mdl_nas_mm.engine.checkpoint import read_checkpoint
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.spec.owners import backbone_scores, part_scores
    from mdl_nas_mm.tasks import choose_joint_spec, resolve_joint_config
    from mdl_nas_mm.utils.config_file import read_config
    from mdl_nas_mm.utils.quiet import quiet
    from mdl_nas_mm.visualization.analysis import analysis_tables

    console = Console(file=sys.stdout)
    with command('analyze') as say:
        cfg = read_config(args.config, args.cfg_options, args.trust_checkpoint)
        if args.joint_spec:
            choose_joint_spec(cfg, args.joint_spec)
        cfg = resolve_joint_config(cfg, check_files=False)
        sizes, scores = parse_sizes(args.input_size, cfg.tasks), None
        if args.checkpoint:
            state = read_checkpoint(args.checkpoint, args.trust_checkpoint)['state_dict']
            scores = backbone_scores(state) | part_scores(state)
            scores = {layer: score.numpy() for layer, score in scores.items()}
        counting = Console(stderr=True).status(f'counting {len(cfg.tasks)} tasks')
        with counting, quiet():
            report = analyze(cfg, input_sizes=sizes, scores=scores)
        if args.json:
            say(json.dumps(report))
            return
        for table in analysis_tables(report):
            console.print(table)


if __name__ == '__main__':
    main()

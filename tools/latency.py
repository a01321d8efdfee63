"""Measures a task's latencies: python tools/latency.py CONFIG --task det --out latency_det.json."""

import argparse

from mdl_nas_mm.utils.command_line import (
    Parser,
    add_cfg_options,
    at_least,
    sides_of_image,
    there,
    writable,
)


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Measure, on this machine, how long every part of the backbone takes that the '
        'search may choose, write it as a table for search_cfg.constraints, and say how well the '
        'sum of its parts predicts the latency of random architectures. Needs neither weights nor '
        'data. Leave the machine alone meanwhile.'
    )
    add = parser.add_argument
    add('config', type=there('config'), help='Path of a joint config.')
    add('--task', required=True, help='The task whose images and outputs are measured.')
    add('--out', type=writable, required=True, help='The JSON file to write.')
    text = "Size of the images (default: that of the task's validation)."
    add('--input-size', type=sides_of_image, metavar='HEIGHTxWIDTH', help=text)
    add('--batch-size', type=at_least(1), default=1, help='Images at once (default: %(default)s).')
    add('--device', default='cpu', help='Such as cpu, cuda, cuda:1 (default: %(default)s).')
    add('--threads', type=at_least(1), default=1, help='Threads of the CPU (default: %(default)s).')
    text = 'Timed runs of each architecture (default: %(default)s).'
    add('--runs', type=at_least(1), default=10, help=text)
    add('--warmup', type=at_least(0), default=2, help='Runs before these (default: %(default)s).')
    text = 'Tasks whose necks and heads are timed as well, so that budgets count them.'
    add('--heads', nargs='+', default=[], metavar='TASK', help=text)
    text = 'Architectures for the comparison (default: %(default)s).'
    add('--random-specs', type=at_least(1), default=20, help=text)
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from rich.progress import track

    from mdl_nas_mm.apis.latency import LatencyMeter, comparison_lines
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.utils.config_file import read_config

    with command('latency') as say:
        cfg = read_config(args.config, args.cfg_options)
        cfg = resolve_joint_config(cfg, check_files=False)
        how = (args.device, args.threads, args.runs, args.warmup)
        meter = LatencyMeter(cfg, args.task, args.input_size, args.batch_size, *how)
        table = meter.measure(args.heads, track=lambda specs: track(specs, 'measuring the parts'))
        table.save(args.out)
        result = meter.compare(
            table, args.random_specs, track=lambda specs: track(specs, 'random architectures')
        )
        table = meter.compared(table, result)
        table.save(args.out)
        height, width = meter.timing.input_size
        say(f'{args.out}: {len(table.milliseconds)} parts, {args.batch_size} x {height} x {width}')
        for line in comparison_lines(table, result):
            say(line)


if __name__ == '__main__':
    main()

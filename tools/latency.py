"""Measures a task's latencies: python tools/latency.py CONFIG --task det --out latency_det.json."""

import argparse

from mmengine.config import Config, DictAction
from rich.progress import track

from mdl_nas_mm.apis.latency import LatencyMeter
from mdl_nas_mm.tasks import resolve_joint_config
from mdl_nas_mm.utils.files import written_whole


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Measure, on this machine, how long every part of the backbone takes that the '
        'search may choose, write it as a table for search_cfg.constraints, and say how well the '
        'sum of its parts predicts the latency of random architectures. Needs neither weights nor '
        'data. Leave the machine alone meanwhile.'
    )
    parser.add_argument('config', help='path of a joint config')
    parser.add_argument('--task', required=True, help='whose images and outputs')
    parser.add_argument('--out', required=True, help='JSON file to write')
    parser.add_argument(
        '--input-size', metavar='HEIGHTxWIDTH', help="by default that of the task's validation"
    )
    parser.add_argument('--batch-size', type=int, default=1, help='images at once (1)')
    parser.add_argument('--device', default='cpu', help='cpu (the default), cuda, cuda:1, ...')
    parser.add_argument('--threads', type=int, default=1, help='of the CPU (1)')
    parser.add_argument('--runs', type=int, default=10, help='timed runs an architecture (10)')
    parser.add_argument('--warmup', type=int, default=2, help='runs before these (2)')
    parser.add_argument('--random-specs', type=int, default=20, help='for the comparison (20)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value to override')
    return parser.parse_args()


def parse_size(text: str | None) -> tuple[int, int] | None:
    """(height, width) from '800x1280' or '224'."""
    if text is None:
        return None
    sides = text.split('x')
    if not (len(sides) in (1, 2) and all(side.isdecimal() for side in sides)):
        raise ValueError(f'--input-size {text!r}: expected HEIGHTxWIDTH')
    return int(sides[0]), int(sides[-1])


def main() -> None:
    args = parse_args()
    try:
        if args.random_specs < 1:
            raise ValueError(f'--random-specs {args.random_specs}: expected at least 1')
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
        cfg = resolve_joint_config(cfg, check_files=False)
        sizes = (parse_size(args.input_size), args.batch_size)
        how = (args.device, args.threads, args.runs, args.warmup)
        meter = LatencyMeter(cfg, args.task, *sizes, *how)
        table = meter.measure(track=lambda specs: track(specs, 'measuring the parts'))
        with written_whole(args.out) as temporary:
            table.save(temporary)
        result = meter.compare(
            table, args.random_specs, track=lambda specs: track(specs, 'random architectures')
        )
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f'error: {error}') from error
    height, width = meter.timing.input_size
    print(f'{args.out}: {len(table.milliseconds)} parts, {args.batch_size} x {height} x {width}')
    print(
        f'random architectures: {min(result["measured"]):.2f} to {max(result["measured"]):.2f} ms'
    )
    print(f'error: median {result["median_error"]:.1f} %, worst {result["worst_error"]:.1f} %')
    if result['pearson'] is not None and result['spearman'] is not None:
        print(f'correlation: Pearson {result["pearson"]:.3f}, Spearman {result["spearman"]:.3f}')


if __name__ == '__main__':
    main()

"""Learns to predict scores or losses: python tools/predictor.py HISTORY, or CONFIG --checkpoint."""

import argparse
from collections.abc import Callable
from pathlib import Path

from mdl_nas_mm.utils.command_line import Parser, add_run_options, at_least, there, writable


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Train a predictor, and say how well it does on architectures that it has not '
        'seen: of scores, on the evaluations of a search; or of the losses of all tasks, on random '
        'architectures, which are measured first. Started again, that goes on where it was.'
    )
    add = parser.add_argument
    add(
        'source',
        type=there('file'),
        help='The history.jsonl of a search, or path of a joint config.',
    )
    text = 'Of a config: the trained supernet, whose losses are measured.'
    add('--checkpoint', type=there('checkpoint'), help=text)
    add('--samples', type=at_least(20), help='Architectures to measure (default: 2000).')
    add('--work-dir', help='Folder of the losses (default: work_dirs/<config>/predictor).')
    text = 'The safetensors file to write (default: predictor.safetensors beside the losses).'
    add('--out', type=writable, help=text)
    text = 'Of samples, weights and what is held out (default: %(default)s).'
    add('--seed', type=int, default=0, help=text)
    add_run_options(parser)
    args = parser.parse_args()
    if not (args.checkpoint or args.out):
        parser.error('give a history.jsonl with --out, or a config with --checkpoint')
    for option in ('samples', 'work_dir', 'cfg_options'):
        if getattr(args, option) and not args.checkpoint:
            parser.error(f'--{option.replace("_", "-")}: of a config, which takes --checkpoint')
    return args


def losses(args: argparse.Namespace, say: Callable[[str], None]) -> Path | None:
    """Measures and learns; None on other ranks than the first."""
    from mdl_nas_mm.search import loss_predictor
    from mdl_nas_mm.search.loss_samples import measure_losses
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.utils.config_file import read_config

    cfg = read_config(args.source, args.cfg_options, args.trust_checkpoint)
    folder = Path(args.work_dir or f'work_dirs/{Path(args.source).stem}/predictor')
    given = (args.samples or 2000, args.seed, args.launcher)
    measured = measure_losses(resolve_joint_config(cfg), args.checkpoint, folder, *given)
    if measured is None:
        return None
    settings = loss_predictor.PredictorSettings(seed=args.seed)
    predictor = loss_predictor.LossPredictor.fit(*measured, settings)
    for line in loss_predictor.accuracy_lines(predictor.about['held_out']):
        say(line)
    path = Path(args.out or folder / 'predictor.safetensors')
    predictor.save(path)
    return path


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.engine.errors import AGAIN
    from mdl_nas_mm.search.predictor_score import log_held_out
    from mdl_nas_mm.search.results import learn_from_history

    with command('predictor', go_on=AGAIN) as say:
        path = losses(args, say) if args.checkpoint else Path(args.out)
        if path is not None and not args.checkpoint:
            learn_from_history(args.source, args.seed, log_held_out).save(path)
        if path is not None:
            say(path)


if __name__ == '__main__':
    main()

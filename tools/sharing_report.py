"""Shows what sub-tasks share: python tools/sharing_report.py --deposit FILE --video VIDEO."""

import argparse
from dataclasses import asdict
from pathlib import Path

from mmengine.config import DictAction

from mdl_nas_mm.utils import command_line
from mdl_nas_mm.utils.command_line import Parser, at_least, there


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Write figures and JSON of what sub-tasks share: densities of their layers on '
        'a video, thresholds for a given loss of score, scores of videos by their key frames, and '
        'scores against lambdas of several trainings.'
    )
    add = parser.add_argument
    text = 'A deposit with sub-tasks that are differences.'
    add('--deposit', type=there('deposit'), help=text)
    text = 'Densities: of a video, or of its frames in their order.'
    add('--video', nargs='+', type=there('video'), help=text)
    text = 'Differences that count as none, of densities and videos (default: %(default)s).'
    add('--threshold', type=at_least(0, float), default=0.0, help=text)
    text = 'Thresholds with which sub-tasks lose so many percent, for mdl-nas infer --thresholds.'
    add('--loss', type=at_least(0, float), help=text)
    text = 'Scores of validation images as frames whose key frames lie 0 to so many before.'
    add('--key-frames', type=at_least(0), help=text)
    text = 'Settings of the validation data sets for these two, KEY=VALUE: images set aside.'
    add('--data', nargs='+', action=DictAction, help=text)
    text = 'Scores against lambdas: folders of share-computation.'
    add('--sweep', nargs='+', type=there('folder'), help=text)
    text = 'The folder to write into (default: %(default)s).'
    add('--out-dir', type=Path, default='outputs/sharing', help=text)
    command_line.add_trusted_classes(parser)
    args = parser.parse_args()
    asked = args.video, args.loss, args.key_frames
    if bool(args.deposit) != any(each is not None for each in asked):
        parser.error('--deposit goes with --video, --loss or --key-frames')
    if not args.deposit and not args.sweep:
        parser.error('give --deposit or --sweep')
    return args


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.apis.key_frames import video_scores
    from mdl_nas_mm.apis.reuse import sharing_settings
    from mdl_nas_mm.apis.shared_scores import thresholds_for
    from mdl_nas_mm.apis.sharing_report import densities_of, read_sweep
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.utils.files import write_json
    from mdl_nas_mm.visualization import plot_sweep, write_densities

    with command('sharing-report') as say:
        out, trust = args.out_dir, command_line.trusted_classes(args)
        if args.video:
            found = densities_of(args.deposit, args.video, args.threshold, trust=trust)
            say(*write_densities(found, out), sep='\n')
        if args.loss is not None:
            chosen = thresholds_for(args.deposit, args.loss, args.data, trust=trust)
            write_json(out / 'thresholds.json', chosen)
        if args.key_frames is not None:
            given = (sharing_settings('both', args.threshold), args.key_frames, args.data, trust)
            scores = video_scores(args.deposit, *given)
            write_json(out / 'videos.json', {task: asdict(own) for task, own in scores.items()})
        if args.sweep:
            swept = read_sweep(args.sweep)
            plot_sweep(swept, out / 'sweep.png')
            write_json(out / 'sweep.json', list(map(asdict, swept)))
        say(out)


if __name__ == '__main__':
    main()

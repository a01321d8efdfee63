"""Runs the tasks of a deposit on images: python tools/infer.py DEPOSIT INPUTS... --out-dir OUT."""

import argparse

from mdl_nas_mm.header.contents import tasks_of
from mdl_nas_mm.utils import command_line
from mdl_nas_mm.utils.command_line import Parser, at_least, there

EPILOG = """\
Of every image IMAGE, OUT then has
  vis/IMAGE.jpg           the drawings of all tasks beside each other
  vis/TASK/IMAGE.jpg      the drawing of one task; of a .png both are .png
  preds/TASK/IMAGE.json   its prediction; a map is beside it, of labels as PNG, others as NPY
and of every video VIDEO vis/VIDEO.mp4 and vis/TASK/VIDEO.mp4.
An image that cannot be used is named and left out; the exit status is 1 then.

examples:
  mdl-nas infer deposit.safetensors street.jpg --out-dir out
  mdl-nas infer deposit.safetensors photos/ clip.mp4 --out-dir out --tasks det --device cuda
  mdl-nas infer controlled.safetensors street.jpg --budget 10G --prefer seg=1
"""


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Predict with the tasks of a deposit, and draw what they find.',
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('deposit', type=there('deposit'), help='The file.')
    add('inputs', nargs='+', type=there('input'), help='Images, folders of images, and videos.')
    add('--tasks', nargs='+', help='Names of tasks (default: all).')
    add('--out-dir', default='outputs', help='The folder to write into (default: %(default)s).')
    add('--device', help='Such as cpu, cuda, cuda:1 (default: a GPU if there is one).')
    add('--batch-size', type=at_least(1), default=1, help='Images at once (default: %(default)s).')
    text = 'Lowest score of objects and key points that are drawn (default: %(default)s).'
    add('--pred-score-thr', type=float, default=0.3, help=text)
    add('--max-pixels', type=at_least(1), help='Larger images are left out (default: 100 million).')
    add('--no-save-vis', action='store_true', help='Write predictions alone, and no drawings.')
    text = 'Take over what was computed for another task, the frame before, or both.'
    add('--reuse', choices=('tasks', 'frames', 'both'), help=text)
    text = 'With --reuse: differences that count as none; 0 is exact (default: %(default)s).'
    add('--threshold', type=at_least(0, float), default=0.0, help=text)
    add('--thresholds', help='With --reuse: thresholds between tasks, of mdl-nas sharing-report.')
    command_line.add_request(parser)
    command_line.add_trusted_classes(parser)
    return command_line.parse_request(parser)


def main() -> None:
    args, failed = parse_args(), []
    from mdl_nas_mm.apis import MAX_PIXELS, MultiTaskInferencer
    from mdl_nas_mm.apis.input_images import open_inputs
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.methods.ecmt.preferences import read_preferences

    def leave_out(path: str, reason: str) -> None:
        failed.append(path)
        print(f'left out: {path} {reason}')

    with command('infer', go_on='what is written is whole') as say:
        open_inputs(args.inputs, report=lambda *_: None)  # Empty folders are refused at once.
        keys = ('reuse', 'threshold', 'thresholds', 'budget', 'latency')
        settings = {key: getattr(args, key) for key in keys}
        settings['prefer'] = args.prefer and read_preferences(args.prefer, tasks_of(args.deposit))
        settings['trust'] = command_line.trusted_classes(args)
        inferencer = MultiTaskInferencer(args.deposit, args.tasks, args.device, **settings)
        how = {key: getattr(args, key) for key in ('batch_size', 'pred_score_thr', 'no_save_vis')}
        how.update(out_dir=args.out_dir, max_pixels=args.max_pixels or MAX_PIXELS)
        # One image after the other, as all results of a long video may not fit into memory.
        images = sum(1 for _ in inferencer.stream(args.inputs, on_bad=leave_out, **how))
        say(f'{images} images, {", ".join(inferencer.tasks)}: see {args.out_dir}')
    if failed:
        raise SystemExit(f'error: {len(failed)} of {images + len(failed)} images could not be used')


if __name__ == '__main__':
    main()

"""Sets training images aside for the search: python tools/hold_out.py CONFIG."""

import argparse

from mdl_nas_mm.utils.command_line import Parser, add_cfg_options, there

DESCRIPTION = """\
Divide the training sets of a joint config in two: images set aside, on which a search scores, and
the rest, on which its supernet is trained. Images are not touched; two annotation files a task are
written, which the data sets of mmpretrain, mmdet, mmseg and mmpose read as any other."""
EPILOG = """\
The config says everything:

  held_out_images = dict(det=5000)
  tasks = dict(
      det=dict(
          config='my_mask_rcnn.py',     # its training set is what is divided
          train_dataloader=dict(dataset=dict(ann_file='annotations/train_rest.json')),
          search_dataloader=dict(
              dataset=dict(
                  ann_file='annotations/train_search.json', data_prefix=dict(img='train/')
              )
          ),
          search_evaluator=dict(ann_file='data/my/annotations/train_search.json')))

The files go where the two ann_file say, below data_root. The same data always give the same files.
Files of the same content stay, others are never written over. Images are taken at even distances:
of COCO JSON by their ids, of lists by their order, of classification as many of each class."""


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'config', type=there('config'), help='Path of a joint config with held_out_images.'
    )
    add_cfg_options(parser, 'Settings to override, such as held_out_images.det=2000.')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.datasets.hold_out import hold_out
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.utils.config_file import read_config

    with command('hold-out') as say:
        cfg = read_config(args.config, args.cfg_options)
        for task, search, rest, images, is_new in hold_out(cfg):
            say(f'{task}: {images[0]:,} images set aside in {search}')
            say(f'{task}: {images[1]:,} images left in {rest}')
            if not is_new:
                say(f'{task}: both files were there already')


if __name__ == '__main__':
    main()

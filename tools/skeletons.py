"""Chooses where each task leaves the backbone: python tools/skeletons.py CONFIG --checkpoint ..."""

import argparse
from pathlib import Path

from mdl_nas_mm.utils.command_line import Parser, add_cfg_options, add_trust_checkpoint, there


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Choose where each task leaves the backbone, and write the smallest supernet '
        'of all tasks: config.py and supernet.pth, which a search takes, skeletons.json and a '
        'picture.'
    )
    add = parser.add_argument
    add('config', type=there('config'), help='Path of the joint config that was trained.')
    text = 'The file that the training has written.'
    add('--checkpoint', type=there('checkpoint'), required=True, help=text)
    text = 'Evaluate every skeleton, and take the best (default: the likeliest).'
    add('--validate', action='store_true', help=text)
    add('--tasks', nargs='+', metavar='TASK', help='Just these, and their cells (default: all).')
    text = 'Architectures that a search has found, to be cut to these cells.'
    add('--joint-spec', type=there('joint spec'), help=text)
    add('--out', help='Folder to write into (default: skeletons, beside the checkpoint).')
    add_cfg_options(parser)
    add_trust_checkpoint(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.elastic.arch_source import read_joint_spec
    from mdl_nas_mm.engine.checkpoint import load_supernet, read_checkpoint
    from mdl_nas_mm.engine.command import command
    from mdl_nas_mm.families.swin_unet.dimensions import CELL_TREE
    from mdl_nas_mm.methods.autotaskformer.choice import (
        SkeletonChoice,
        chosen_checkpoint,
        chosen_config,
    )
    from mdl_nas_mm.methods.autotaskformer.validate import best_validated
    from mdl_nas_mm.tasks import resolve_joint_config
    from mdl_nas_mm.utils.config_file import read_config
    from mdl_nas_mm.utils.files import write_json
    from mdl_nas_mm.utils.torch_file import write_torch_file
    from mdl_nas_mm.visualization.skeletons import plot_skeletons

    with command('skeletons', 'WARNING') as say:
        cfg = read_config(args.config, args.cfg_options, args.trust_checkpoint)
        cfg = resolve_joint_config(cfg)
        checkpoint = read_checkpoint(args.checkpoint, args.trust_checkpoint)
        if args.validate:
            choice = best_validated(cfg, load_supernet(cfg, args.checkpoint))
        else:
            choice = SkeletonChoice.read(cfg, args.checkpoint, checkpoint)
        choice, joint = choice.of(args.tasks), None
        if args.joint_spec:
            joint = read_joint_spec(args.joint_spec, CELL_TREE, f'joint_spec {args.joint_spec!r}')
            joint = choice.restricted(joint)
        folder = Path(args.out or Path(args.checkpoint).parent / 'skeletons')
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / 'skeletons.json', choice.to_dict())
        plot_skeletons(choice.skeletons, folder / 'skeletons.png')
        chosen_config(cfg, choice).dump(folder / 'config.py')
        if joint is not None:
            write_json(folder / 'joint_spec.json', joint.to_dict())
        content = chosen_checkpoint(cfg, choice, checkpoint)
        write_torch_file(folder / 'supernet.pth', content)
        say(*choice.lines(), '', folder / 'config.py', folder / 'supernet.pth', sep='\n')


if __name__ == '__main__':
    main()

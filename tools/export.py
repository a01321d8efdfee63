"""Writes ONNX or a torch.export program: python tools/export.py DEPOSIT --task TASK --out FILE."""

import argparse

from mdl_nas_mm.utils.command_line import (
    Parser,
    add_trust_checkpoint,
    add_trusted_classes,
    at_least,
    there,
    trusted_classes,
    writable,
)


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Write a model as ONNX (.onnx) or as a torch.export program (.pt2), for any '
        'number of preprocessed images of one size, and compare what it answers with torch.'
    )
    parser.add_argument(
        'source', type=there('file'), help='A deposit, or the config of an extracted task.'
    )
    parser.add_argument('--task', help='Which task of a deposit.')
    add = parser.add_argument
    text = "Weights for a config (default: the config's own)."
    add('--checkpoint', type=there('checkpoint'), help=text)
    add('--out', type=writable, required=True, help='The file to write (.onnx or .pt2).')
    add(
        '--part',
        choices=('whole', 'features', 'backbone'),
        default='whole',
        help='The whole model (classifiers, segmentors, top-down pose estimators), its backbone '
        'and neck, or its backbone alone (default: %(default)s).',
    )
    parser.add_argument(
        '--input-size',
        type=at_least(1),
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='Pixels of the images (default: what the config says).',
    )
    add_trust_checkpoint(parser)
    add_trusted_classes(parser)
    args = parser.parse_args()
    if not args.out.endswith(('.onnx', '.pt2')):
        parser.error(f'--out {args.out}: name it .onnx or .pt2')
    return args


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.deposit.export import (
        check_exportable,
        check_file,
        default_size,
        export,
        load_model,
    )
    from mdl_nas_mm.engine.command import command

    with command('export') as say:
        check_file(args.out)
        trusted = args.trust_checkpoint, trusted_classes(args)
        model, dataloader = load_model(args.source, args.task, args.checkpoint, *trusted)
        check_exportable(model, args.part)
        height, width = args.input_size or default_size(model, dataloader)
        difference = export(model, args.out, (height, width), args.part)
        say(f'{args.out}: {args.part} model for images of {height} x {width}')
        say(f'largest difference to torch: {difference:.1e}')


if __name__ == '__main__':
    main()

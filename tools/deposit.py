"""All tasks in one file: python tools/deposit.py {pack,list,verify,extract,add,remove,test}."""

from argparse import BooleanOptionalAction, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

from mdl_nas_mm.utils.command_line import (
    Parser,
    add_request,
    add_trust_checkpoint,
    add_trusted_classes,
    trusted_classes,
)


def done(args: Namespace) -> Iterator[str]:
    """Does what the command says; what came of it, line by line."""
    # Large libraries are imported once the arguments are known to be right.
    from mmengine.device import get_device

    from mdl_nas_mm.apis import add_to_deposit, deposits, extract_chosen, save_deposit
    from mdl_nas_mm.deposit import Deposit, extract, remove
    from mdl_nas_mm.methods.ecmt.preferences import read_preferences

    path, command, trust = args.deposit, args.command, trusted_classes(args)
    if command == 'list':
        yield deposits.contents(path, trust)
        unscored = [
            task for task, info in Deposit(path, trust).tasks.items() if 'scored' not in info
        ]
        if unscored:
            yield f'no score is stored of {", ".join(unscored)}: `mdl-nas deposit test` evaluates'
    elif command == 'verify':
        given = (args.data, args.before, args.images, get_device(), trust)
        yield from deposits.check(path or args.after, *given)
    elif command == 'extract':
        if args.budget is None and args.prefer is None:
            yield extract(path, args.task, args.out, args.stock, trust)
            return
        prefer = None if args.prefer is None else read_preferences(args.prefer)
        given = (args.stock, trust, args.latency)
        yield extract_chosen(path, args.task, args.out, args.budget, prefer, *given)
    elif command == 'remove':
        yield f'{path}: {remove(path, args.task, trust).total:,} parameters are left'
    elif command == 'test':
        yield from deposits.test(path, args.task, get_device(), trust)
    else:
        if command == 'pack' and Path(path).exists() and not args.overwrite:
            raise ValueError(f'{path} is there already; --overwrite replaces it')
        before = Deposit(path, trust).counts.total if command == 'add' else 0
        cfg, joint = deposits.read_chosen(args.config, args.joint_spec, args.trust_checkpoint)
        given = (cfg, args.checkpoint, joint, path, args.scored, trust)
        n = (
            save_deposit(*given)
            if command == 'pack'
            else add_to_deposit(*given, _stored(args, joint))
        )
        yield f'added {", ".join(joint)}: {n.total - before:,} parameters'
        yield f'{path}: {n.total:,} parameters, {n.separate:,} as separate models'


def _stored(args: Namespace, tasks: Iterable[str]) -> dict[str, dict]:
    """Task -> how is stored what it alone owns."""
    if args.difference_from is None:
        return {}
    return {task: dict(type='SparseDifference', base=args.difference_from) for task in tasks}


def parse_args() -> Namespace:
    parser = Parser(description='Pack deposits, look into them, change and check them.')
    commands = parser.add_subparsers(dest='command', required=True)
    pack = commands.add_parser('pack', help='deposit the chosen subnets of a supernet')
    add = commands.add_parser('add', help='add tasks that were trained on top of a deposit')
    show = commands.add_parser('list', help='show the tasks, their scores and sizes')
    verify = commands.add_parser('verify', help='check every hash, and that tasks answer as before')
    out = commands.add_parser('extract', help='write a config and a checkpoint for other tools')
    less = commands.add_parser('remove', help='remove a task')
    test = commands.add_parser('test', help='evaluate tasks on their validation split')
    pack.add_argument('--out', dest='deposit', required=True, help='The file to write.')
    pack.add_argument('--overwrite', action='store_true', help='Replace a file that is there.')
    for command in (add, show, out, less, test):
        command.add_argument('deposit', help='The file.')
    for command in (pack, add):
        command.add_argument('config', help='Path of the joint config that was trained.')
        command.add_argument('--checkpoint', required=True, help='The trained model.')
        text = 'JSON of the architectures (default: those that the config fixes).'
        command.add_argument('--joint-spec', help=text)
        text = 'Evaluate the tasks first, and store their scores (default: no scores).'
        command.add_argument('--scored', action='store_true', help=text)
        add_trust_checkpoint(command)
    text = 'Task of the file; of what the new ones own only that is stored which differs from it.'
    add.add_argument('--difference-from', help=text)
    file = verify.add_mutually_exclusive_group(required=True)
    file.add_argument('deposit', nargs='?', help='The file.')
    file.add_argument('--after', help='The later file, with --before.')
    verify.add_argument('--before', help='An earlier file, to compare answers with.')
    text = 'Images to compare answers on, with --before (default: noise).'
    verify.add_argument('--images', nargs='+', default=[], help=text)
    text = 'Also evaluate on the validation splits (default: no).'
    verify.add_argument('--data', action='store_true', help=text)
    out.add_argument('--task', required=True, help='The task to write.')
    less.add_argument('--task', required=True, help='The task to remove.')
    test.add_argument('--task', help='The task to evaluate (default: all).')
    out.add_argument('--out', required=True, help='The folder to write into.')
    text = 'Whether to write classes of upstream alone (default: where that is possible).'
    out.add_argument('--stock', action=BooleanOptionalAction, help=text)
    add_request(out)
    for command in (pack, add, show, verify, out, less, test):
        add_trusted_classes(command)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mdl_nas_mm.engine.errors import one_line_errors

    with one_line_errors():
        for line in done(args):
            print(line)


if __name__ == '__main__':
    main()

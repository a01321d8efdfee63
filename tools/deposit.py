"""All tasks in one file: python tools/deposit.py {pack,list,verify,extract,add,remove,test}."""

from argparse import BooleanOptionalAction, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mdl_nas_mm.header.contents import contents
from mdl_nas_mm.utils.command_line import (
    Parser,
    add_request,
    add_trust_checkpoint,
    add_trusted_classes,
    there,
    trusted_classes,
)
from mdl_nas_mm.utils.early_errors import early_errors

if TYPE_CHECKING:
    from mdl_nas_mm.spec import Counts


def pack(args: Namespace) -> Iterator[str]:
    from mdl_nas_mm.apis import deposits, save_deposit

    if Path(args.deposit).exists() and not args.overwrite:
        raise ValueError(f'{args.deposit} is there already; --overwrite replaces it')
    cfg, joint = deposits.read_chosen(args.config, args.joint_spec, args.trust_checkpoint)
    given = (cfg, args.checkpoint, joint, args.deposit, args.scored, trusted_classes(args))
    yield from _added(args, joint, 0, save_deposit(*given))


def add(args: Namespace) -> Iterator[str]:
    from mdl_nas_mm.apis import add_to_deposit, deposits
    from mdl_nas_mm.deposit import Deposit

    trust = trusted_classes(args)
    before = Deposit(args.deposit, trust).counts.total
    cfg, joint = deposits.read_chosen(args.config, args.joint_spec, args.trust_checkpoint)
    given = (cfg, args.checkpoint, joint, args.deposit, args.scored, trust)
    yield from _added(args, joint, before, add_to_deposit(*given, _stored(args, joint)))


def list_(args: Namespace) -> Iterator[str]:
    yield from contents(args.deposit)


def verify(args: Namespace) -> Iterator[str]:
    from mdl_nas_mm.apis import deposits

    given = (args.data, args.before, args.images, _device(), trusted_classes(args))
    yield from deposits.check(args.deposit or args.after, *given)


def extract(args: Namespace) -> Iterator[str]:
    from mdl_nas_mm.apis import extract_chosen
    from mdl_nas_mm.deposit import extract
    from mdl_nas_mm.methods.ecmt.preferences import read_preferences

    given = (args.deposit, args.task, args.out)
    how = (args.stock, trusted_classes(args))
    if args.budget is None and args.prefer is None:
        yield extract(*given, *how)
        return
    prefer = None if args.prefer is None else read_preferences(args.prefer)
    yield extract_chosen(*given, args.budget, prefer, *how, args.latency)


def remove(args: Namespace) -> Iterator[str]:
    from mdl_nas_mm.deposit import remove

    left = remove(args.deposit, args.task, trusted_classes(args)).total
    yield f'{args.deposit}: {left:,} parameters are left'


def test(args: Namespace) -> Iterator[str]:
    from mdl_nas_mm.apis import deposits

    yield from deposits.test(args.deposit, args.task, _device(), trusted_classes(args))


# Large libraries are imported once the arguments are known to be right.
COMMANDS = dict(
    pack=pack, add=add, list=list_, verify=verify, extract=extract, remove=remove, test=test
)


def _device() -> str:
    from mmengine.device import get_device

    return get_device()


def _added(args: Namespace, tasks: Iterable[str], before: int, n: 'Counts') -> Iterator[str]:
    yield f'added {", ".join(tasks)}: {n.total - before:,} parameters'
    yield f'{args.deposit}: {n.total:,} parameters, {n.separate:,} as separate models'


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
        command.add_argument('deposit', type=there('deposit'), help='The file.')
    for command in (pack, add):
        command.add_argument(
            'config', type=there('config'), help='Path of the joint config that was trained.'
        )
        command.add_argument('--checkpoint', required=True, help='The trained model.')
        text = 'JSON of the architectures (default: those that the config fixes).'
        command.add_argument('--joint-spec', help=text)
        text = 'Evaluate the tasks first, and store their scores (default: no scores).'
        command.add_argument('--scored', action='store_true', help=text)
        add_trust_checkpoint(command)
    text = 'Task of the file; of what the new ones own only that is stored which differs from it.'
    add.add_argument('--difference-from', help=text)
    file = verify.add_mutually_exclusive_group(required=True)
    file.add_argument('deposit', nargs='?', type=there('deposit'), help='The file.')
    file.add_argument('--after', type=there('deposit'), help='The later file, with --before.')
    verify.add_argument(
        '--before', type=there('deposit'), help='An earlier file, to compare answers with.'
    )
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
    for command in (pack, add, verify, out, less, test):
        add_trusted_classes(command)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.command == 'list':
        errors = early_errors
    else:
        from mdl_nas_mm.engine.errors import one_line_errors as errors
    with errors():
        for line in COMMANDS[args.command](args):
            print(line)


if __name__ == '__main__':
    main()

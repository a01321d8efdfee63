"""All tasks in one file: python tools/deposit.py {pack,list,verify,extract,add,remove,test}."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Iterator

from mmengine.device import get_device

from mdl_nas_mm.apis import deposits, save_deposit
from mdl_nas_mm.deposit import remove
from mdl_nas_mm.deposit.extract import extract
from mdl_nas_mm.engine.errors import one_line_errors
from mdl_nas_mm.utils.command_line import add_trust, add_trusted_classes, import_modules


def parse_args() -> Namespace:
    parser = ArgumentParser(description='Pack deposits, and look into, change, check them')
    commands = parser.add_subparsers(dest='command', required=True)
    for name, text in (
        ('pack', 'deposit the chosen subnets of a supernet'),
        ('add', 'add tasks that were trained on top of a deposit'),
        ('list', 'show the tasks, their scores and sizes'),
        ('verify', 'check every hash, and that tasks answer as they did'),
        ('extract', 'write a config and a checkpoint for the tools of the task'),
        ('remove', 'remove a task'),
        ('test', 'evaluate tasks on their validation split'),
    ):
        command = commands.add_parser(name, help=text)
        if name != 'pack':
            command.add_argument('deposit', nargs='?' if name == 'verify' else None)
        add_trusted_classes(command)
        if name in ('pack', 'add'):
            command.add_argument('config', help='path of a joint config')
            command.add_argument('--checkpoint', required=True, help='trained model')
            command.add_argument('--joint-spec', help='JSON of the architectures')
            add_trust(command)
            command.add_argument('--scored', action='store_true', help='evaluate, store the scores')
        if name in ('extract', 'remove', 'test'):
            command.add_argument('--task', required=name != 'test', help='the task')
        if name == 'extract':
            command.add_argument('--stock', action=BooleanOptionalAction, help='no class of ours')
        if name in ('pack', 'extract'):
            command.add_argument('--out', required=True, help='file (extract: folder) to write')
        if name == 'verify':
            command.add_argument('--data', action='store_true', help='on the validation splits')
            command.add_argument('--before', help='an earlier file, to compare answers with')
            command.add_argument('--after', help='the later file, instead of the deposit')
            command.add_argument('--images', nargs='+', default=[], help='for --before')
    return parser.parse_args()


def lines(args: Namespace) -> Iterator[str]:
    """Does what a command says, and what there is to say of it."""
    import_modules(args.imports)
    if args.command in ('pack', 'add'):
        cfg, joint = deposits.read_chosen(args.config, args.joint_spec, args.trust_checkpoint)
        store = save_deposit if args.command == 'pack' else deposits.add_to_deposit
        path = args.out if args.command == 'pack' else args.deposit
        counts = store(cfg, args.checkpoint, joint, path, args.scored, args.trust)
        yield f'{path}: {counts.total:,} parameters, {counts.separate:,} as separate models'
    elif args.command == 'list':
        yield deposits.contents(args.deposit, args.trust)
    elif args.command == 'verify':
        if bool(args.deposit) == bool(args.after):
            raise ValueError('verify: give either the deposit or --after')
        path, given = args.deposit or args.after, (args.data, args.before, args.images)
        yield from deposits.check(path, *given, get_device(), args.trust)
    elif args.command == 'extract':
        yield str(extract(args.deposit, args.task, args.out, args.stock, args.trust))
    elif args.command == 'remove':
        left = remove(args.deposit, args.task, args.trust).total
        yield f'{args.deposit}: {left:,} parameters are left'
    else:
        yield from deposits.test(args.deposit, args.task, get_device(), args.trust)


def main() -> None:
    args = parse_args()
    with one_line_errors():
        for line in lines(args):
            print(line)


if __name__ == '__main__':
    main()

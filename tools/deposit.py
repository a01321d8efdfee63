"""All tasks in one file: python tools/deposit.py {pack,list,verify,extract,add,remove,test}."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace

from mmengine.device import get_device

from mdl_nas_mm.apis import deposits, save_deposit
from mdl_nas_mm.deposit import extract, remove
from mdl_nas_mm.engine.errors import one_line_errors
from mdl_nas_mm.utils.command_line import add_trust_checkpoint, add_trusted_classes, trusted_classes


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
        add = command.add_argument
        if name == 'pack':
            add('--out', dest='deposit', required=True, help='file to write')
        elif name == 'verify':
            file = command.add_mutually_exclusive_group(required=True)
            file.add_argument('deposit', nargs='?')
            file.add_argument('--after', help='the later file, with --before')
            add('--before', help='an earlier file, to compare answers with')
            add('--images', nargs='+', default=[], help='for --before')
            add('--data', action='store_true', help='on the validation splits')
        else:
            add('deposit')
        if name in ('pack', 'add'):
            add('config', help='path of a joint config')
            add('--checkpoint', required=True, help='trained model')
            add('--joint-spec', help='JSON of the architectures')
            add('--scored', action='store_true', help='evaluate, store the scores')
            add_trust_checkpoint(command)
        if name in ('extract', 'remove', 'test'):
            add('--task', required=name != 'test', help='the task')
        if name == 'extract':
            add('--out', required=True, help='folder to write into')
            add('--stock', action=BooleanOptionalAction, help='no class of ours')
        add_trusted_classes(command)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with one_line_errors():
        trust = trusted_classes(args)
        if args.command in ('pack', 'add'):
            cfg, joint = deposits.read_chosen(args.config, args.joint_spec, args.trust_checkpoint)
            store = dict(pack=save_deposit, add=deposits.add_to_deposit)[args.command]
            n = store(cfg, args.checkpoint, joint, args.deposit, args.scored, trust)
            print(f'{args.deposit}: {n.total:,} parameters, {n.separate:,} as separate models')
        elif args.command == 'list':
            print(deposits.contents(args.deposit, trust))
        elif args.command == 'verify':
            given = args.deposit or args.after, args.data, args.before, args.images
            for line in deposits.check(*given, get_device(), trust):
                print(line)
        elif args.command == 'extract':
            print(extract(args.deposit, args.task, args.out, args.stock, trust))
        elif args.command == 'remove':
            left = remove(args.deposit, args.task, trust)
            print(f'{args.deposit}: {left.total:,} parameters are left')
        else:
            for line in deposits.test(args.deposit, args.task, get_device(), trust):
                print(line)


if __name__ == '__main__':
    main()

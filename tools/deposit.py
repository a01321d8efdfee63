"""All tasks in one file: python tools/deposit.py {pack,list,verify,extract,add,remove,test}."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace

from mmengine.device import get_device

from mdl_nas_mm.apis import deposits, save_deposit
from mdl_nas_mm.deposit import extract, remove
from mdl_nas_mm.engine.errors import one_line_errors
from mdl_nas_mm.utils.command_line import add_trust_checkpoint, add_trusted_classes, trusted_classes


def _stored_by(store, args: Namespace, trust: list[str]) -> list[str]:
    cfg, joint = deposits.read_chosen(args.config, args.joint_spec, args.trust_checkpoint)
    n = store(cfg, args.checkpoint, joint, args.deposit, args.scored, trust)
    return [f'{args.deposit}: {n.total:,} parameters, {n.separate:,} as separate models']


def _remove(args: Namespace, trust: list[str]) -> list[str]:
    return [f'{args.deposit}: {remove(args.deposit, args.task, trust).total:,} parameters are left']


# What each command does with its arguments and with the classes that are trusted: lines to print.
COMMANDS = dict(
    pack=lambda args, trust: _stored_by(save_deposit, args, trust),
    add=lambda args, trust: _stored_by(deposits.add_to_deposit, args, trust),
    list=lambda args, trust: [deposits.contents(args.deposit, trust)],
    verify=lambda args, trust: deposits.check(
        args.deposit or args.after, args.data, args.before, args.images, get_device(), trust
    ),
    extract=lambda args, trust: [extract(args.deposit, args.task, args.out, args.stock, trust)],
    remove=_remove,
    test=lambda args, trust: deposits.test(args.deposit, args.task, get_device(), trust),
)


def parse_args() -> Namespace:
    parser = ArgumentParser(description='Pack deposits, and look into, change, check them')
    commands = parser.add_subparsers(dest='command', required=True)
    pack = commands.add_parser('pack', help='deposit the chosen subnets of a supernet')
    add = commands.add_parser('add', help='add tasks that were trained on top of a deposit')
    show = commands.add_parser('list', help='show the tasks, their scores and sizes')
    verify = commands.add_parser('verify', help='check every hash, and that tasks answer as before')
    out = commands.add_parser('extract', help='write a config and a checkpoint for other tools')
    less = commands.add_parser('remove', help='remove a task')
    test = commands.add_parser('test', help='evaluate tasks on their validation split')
    pack.add_argument('--out', dest='deposit', required=True, help='file to write')
    for command in (add, show, out, less, test):
        command.add_argument('deposit')
    for command in (pack, add):
        command.add_argument('config', help='path of a joint config')
        command.add_argument('--checkpoint', required=True, help='trained model')
        command.add_argument('--joint-spec', help='JSON of the architectures')
        command.add_argument('--scored', action='store_true', help='evaluate, store the scores')
        add_trust_checkpoint(command)
    file = verify.add_mutually_exclusive_group(required=True)
    file.add_argument('deposit', nargs='?')
    file.add_argument('--after', help='the later file, with --before')
    verify.add_argument('--before', help='an earlier file, to compare answers with')
    verify.add_argument('--images', nargs='+', default=[], help='for --before')
    verify.add_argument('--data', action='store_true', help='on the validation splits')
    for command in (out, less, test):
        command.add_argument('--task', required=command is not test, help='the task')
    out.add_argument('--out', required=True, help='folder to write into')
    out.add_argument('--stock', action=BooleanOptionalAction, help='no class of ours')
    for command in (pack, add, show, verify, out, less, test):
        add_trusted_classes(command)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with one_line_errors():
        for line in COMMANDS[args.command](args, trusted_classes(args)):
            print(line)


if __name__ == '__main__':
    main()

"""Packs all tasks in one file, and looks into it: python tools/deposit.py COMMAND ..."""

from argparse import BooleanOptionalAction, Namespace

from mdl_nas_mm.header.contents import check_task, contents, tasks_of
from mdl_nas_mm.utils import command_line
from mdl_nas_mm.utils.command_line import Parser, there
from mdl_nas_mm.utils.early_errors import early_errors


def parse_args() -> Namespace:
    parser = Parser(description='Pack deposits, look into them, change and check them.')
    commands = parser.add_subparsers(dest='command', required=True)

    def command_named(name: str, text: str) -> Parser:
        return commands.add_parser(name, help=text, description=text)

    pack = command_named('pack', 'Deposit the chosen subnets of a supernet.')
    add = command_named('add', 'Add tasks that were trained on top of a deposit.')
    show = command_named('list', 'Show the tasks, their scores and sizes.')
    verify = command_named('verify', 'Check every hash, and that tasks answer as before.')
    out = command_named('extract', 'Write a config and a checkpoint for other tools.')
    less = command_named('remove', 'Remove a task.')
    test = command_named('test', 'Evaluate tasks on their validation split.')
    command_line.add_new_deposit(pack, 'deposit')
    for command in (add, show, out, less, test):
        command.add_argument('deposit', type=there('deposit'), help='The file.')
    for command in (pack, add):
        command.add_argument('config', type=there('config'), help='Path of the trained config.')
        trained = dict(type=there('checkpoint'), required=True)
        command.add_argument('--checkpoint', **trained, help='The trained model.')
        command.add_argument('--joint-spec', help='Architectures (default: those of the config).')
        command.add_argument('--scored', action='store_true', help='Evaluate it, and store scores.')
        command_line.add_trust_checkpoint(command)
    text = 'Task of the file; of what the new ones own only that is stored which differs from it.'
    add.add_argument('--difference-from', help=text)
    file = verify.add_mutually_exclusive_group(required=True)
    file.add_argument('deposit', nargs='?', type=there('deposit'), help='The file.')
    file.add_argument('--after', type=there('deposit'), help='The later file, with --before.')
    verify.add_argument('--before', type=there('deposit'), help='An earlier file, to compare with.')
    text = 'Images to compare answers on, with --before (default: noise).'
    verify.add_argument('--images', nargs='+', type=there('image'), default=[], help=text)
    verify.add_argument('--data', action='store_true', help='Also evaluate on validation splits.')
    out.add_argument('--task', required=True, help='The task to write.')
    less.add_argument('--task', required=True, help='The task to remove.')
    test.add_argument('--task', help='The task to evaluate (default: all).')
    out.add_argument('--out', required=True, help='The folder to write into.')
    text = 'Whether to write classes of upstream alone (default: where that is possible).'
    out.add_argument('--stock', action=BooleanOptionalAction, help=text)
    out.add_argument('--training', type=there('config'), help='Joint config: write its training.')
    command_line.add_request(out)
    for command in (pack, add, verify, out, less, test):
        command_line.add_trusted_classes(command)
    args = command_line.parse_request(parser)
    if args.command == 'verify' and not args.before and (args.after or args.images):
        parser.error('--after and --images go with --before')
    if args.command == 'pack':
        command_line.check_new_deposit(args.deposit, vars(args).pop('overwrite'))
    return args


def main() -> None:
    args = parse_args()
    with early_errors():
        if args.command == 'list':
            return print(*contents(args.deposit), sep='\n')
        if getattr(args, 'task', None) is not None:
            check_task(args.deposit, args.task, tasks_of(args.deposit))
    # Large libraries are imported once the arguments are known to be right.
    from mdl_nas_mm.apis import deposit_commands
    from mdl_nas_mm.engine.command import command

    with command('deposit') as say:
        for line in deposit_commands.run(vars(args), command_line.trusted_classes(args)):
            say(line)


if __name__ == '__main__':
    main()

"""Puts all tasks into one file, and looks into it: python tools/deposit.py {pack,list,test}."""

import argparse

from mmengine.config import Config
from mmengine.device import get_device

from mdl_nas_mm.apis import evaluate_deposited, save_deposit
from mdl_nas_mm.deposit import Deposit
from mdl_nas_mm.tasks import choose_joint_spec, fixed_spec, resolve_joint_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Pack, list and test deposits')
    commands = parser.add_subparsers(dest='command', required=True)
    packing = commands.add_parser('pack', help='deposit the chosen subnets of a supernet')
    packing.add_argument('config', help='path of a joint config')
    packing.add_argument('--checkpoint', required=True, help='trained supernet')
    packing.add_argument('--joint-spec', help='JSON of the architectures (default: the config)')
    packing.add_argument('--out', required=True, help='file to write (.safetensors)')
    for name, text in (('list', 'show the tasks'), ('test', 'evaluate tasks on their val split')):
        command = commands.add_parser(name, help=text)
        command.add_argument('deposit', help='the file')
        if name == 'test':
            command.add_argument('--task', help='just this one (default: all)')
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    if args.command == 'pack':
        cfg = Config.fromfile(args.config)
        if args.joint_spec:
            choose_joint_spec(cfg, args.joint_spec)
        cfg = resolve_joint_config(cfg)
        joint = fixed_spec(cfg)
        if joint is None:
            raise ValueError(f'{args.config} fixes no architectures; give --joint-spec')
        counts = save_deposit(cfg, args.checkpoint, joint, args.out)
        print(f'{args.out}: {counts.total:,} parameters, {counts.separate:,} as separate models')
        return
    deposit = Deposit(args.deposit)
    for task in [args.task] if getattr(args, 'task', None) else deposit.tasks:
        if args.command == 'test':
            score, _ = evaluate_deposited(args.deposit, task, get_device())
            print(f'{task}: {deposit.tasks[task]["score"]} = {score:.2f}')
        else:
            own = deposit.counts.specific[task]
            print(f'{task}: {deposit.tasks[task]["scope"]}, {own:,} specific parameters')
    if args.command == 'list':
        print(f'shared: {deposit.counts.shared:,}  total: {deposit.counts.total:,}')


def main() -> None:
    try:
        run(parse_args())
    except (ValueError, FileNotFoundError, KeyError) as error:
        raise SystemExit(f'error: {error}') from error


if __name__ == '__main__':
    main()

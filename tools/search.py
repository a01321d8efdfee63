"""Searches every task's architecture: python tools/search.py CONFIG --checkpoint SUPERNET."""

import argparse
import os.path as osp

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger

from mdl_nas_mm.search import run_search
from mdl_nas_mm.tasks import resolve_joint_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Find the joint spec of the highest S-Score under a budget of parameters. '
        'Started again, it goes on where it was.'
    )
    parser.add_argument('config', help='path of a joint config with search_cfg')
    parser.add_argument('--checkpoint', required=True, help='trained supernet')
    parser.add_argument('--budget', help='most parameters of all tasks together, such as 235M')
    parser.add_argument('--work-dir', help='folder of history.jsonl and joint_spec.json')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='key=value to override')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        cfg = Config.fromfile(args.config)
        if args.cfg_options is not None:
            cfg.merge_from_dict(args.cfg_options)
        if args.budget is not None:
            cfg.merge_from_dict({'search_cfg.budget': args.budget})
        name = osp.splitext(osp.basename(args.config))[0]
        work_dir = args.work_dir or osp.join('work_dirs', name, 'search')
        MMLogger.get_instance('search', log_file=None)
        result = run_search(resolve_joint_config(cfg), args.checkpoint, work_dir)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f'error: {error}') from error
    print(f'S-Score {result.score:.2f}, {result.total:,} parameters')
    for task, score in result.scores.items():
        print(f'{task}: {score:.2f}')
    print(f'{osp.join(work_dir, "joint_spec.json")}')


if __name__ == '__main__':
    main()

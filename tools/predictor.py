"""Learns to predict scores: python tools/predictor.py HISTORY --out predictor.safetensors."""

import argparse

from mmengine.logging import MMLogger

from mdl_nas_mm.engine.errors import one_line_errors
from mdl_nas_mm.search.predictor_score import log_held_out
from mdl_nas_mm.search.results import learn_from_history


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train a predictor of scores on the evaluations of a search, and say how well '
        'it orders architectures that it has not seen. search_cfg.score may name the file.'
    )
    parser.add_argument('history', help='history.jsonl of a search')
    parser.add_argument('--out', required=True, help='safetensors file to write')
    parser.add_argument(
        '--seed', type=int, default=0, help='of weights and of what is held out (0)'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('predictor', log_file=None)
    with one_line_errors():
        learn_from_history(args.history, args.seed, log_held_out).save(args.out)
        print(args.out)


if __name__ == '__main__':
    main()

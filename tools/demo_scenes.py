"""Trains four dense tasks together, and each alone: python tools/demo_scenes.py.

Interrupted and started again, it goes on where it was.
"""

import argparse
import os
from pathlib import Path

from mdl_nas_mm.utils.command_line import Parser

CONFIGS = Path(__file__).resolve().parent.parent / 'configs' / 'demo'
# Seconds on the machine that the README names; only to tell the time left.
EXPECTED = dict(data=30, joint=240, search=20, deposit=10, evaluate=10, alone=180)


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Train four dense tasks on the same images, in one pass and each alone, and '
        'compare them. Started again, it goes on where it was.'
    )
    parser.add_argument(
        '--work-dir',
        default='work_dirs/demo_scenes',
        help='Where everything goes (default: %(default)s).',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # Models this small run faster on one thread than on two.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    from mdl_nas_mm.engine.errors import AGAIN, one_line_errors

    with one_line_errors(AGAIN):
        run(Path(args.work_dir).resolve())


def run(work_dir: Path) -> None:
    """All stages, each unless its result is there."""
    from mmengine.config import Config

    from mdl_nas_mm.apis.comparison import compare, train_alone
    from mdl_nas_mm.apis.pipeline import Stages, run_pipeline
    from mdl_nas_mm.datasets.rooms import write_rooms
    from mdl_nas_mm.utils.files import write_json
    from mdl_nas_mm.utils.strict_json import read_json
    from mdl_nas_mm.visualization import plot_dense_answers, print_comparison

    stages = Stages(work_dir, EXPECTED)
    stages.run('data', '', lambda _: write_rooms('data/rooms'))
    joint = Config.fromfile(CONFIGS / 'demo_rooms.py')
    deposit = run_pipeline(None, joint, stages)['deposit']
    plot_dense_answers(deposit, work_dir / 'answers.png')
    alone = train_alone(joint, work_dir / 'search' / 'joint_spec.json', stages)
    scored = read_json(work_dir / 'evaluate' / 'tasks.json', 'the scores')
    together = {task: result['metrics'] for task, result in scored.items()}
    summary = compare(joint, deposit, together, alone)
    write_json(work_dir / 'comparison.json', summary)
    print_comparison(summary, stages.seconds())
    print(f'the answers: {work_dir / "answers.png"}')


if __name__ == '__main__':
    main()

"""Makes one deposited model for three tasks, then adds two to it: python tools/demo.py.

Interrupted and started again, it goes on where it was.
"""

import argparse
import json
import os
from pathlib import Path

from mdl_nas_mm.utils.command_line import Parser, at_least

CONFIGS = Path(__file__).resolve().parent.parent / 'configs' / 'demo'
# Seconds on the machine that the README names; only to tell the time left.
EXPECTED = dict(data=17, pretrain=63, joint=364, search=51, deposit=8, evaluate=7)
EXPECTED |= dict(sketch=46, pose=71, add=4)


def parse_args() -> argparse.Namespace:
    parser = Parser(
        description='Make one deposited model for three tasks, then add two to it. Started again, '
        'it goes on where it was.'
    )
    add = parser.add_argument
    text = 'Where everything goes (default: %(default)s).'
    add('--work-dir', default='work_dirs/demo', help=text)
    # Each on one thread; a step is the same, but for rounding, whatever their number.
    text = 'That train together (default: up to two, each on a GPU or a core of its own).'
    add('--processes', type=at_least(1), help=text)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # Models this small run faster on one thread than on two.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    from mdl_nas_mm.engine.errors import AGAIN, one_line_errors

    with one_line_errors(AGAIN):
        run(Path(args.work_dir).resolve(), args.processes)


def run(work_dir: Path, processes: int | None) -> None:
    """All stages, each unless its result is there."""
    from mmengine.config import Config

    from mdl_nas_mm import visualization
    from mdl_nas_mm.apis.incremental import add_tasks
    from mdl_nas_mm.apis.pipeline import Stages, run_pipeline, usual_processes
    from mdl_nas_mm.apis.workers import import_ahead
    from mdl_nas_mm.datasets import write_demo_data
    from mdl_nas_mm.deposit import Deposit

    stages, processes = Stages(work_dir, EXPECTED), processes or usual_processes()
    if processes > 1:
        import_ahead(('mmpretrain', 'mmdet', 'mmseg', 'mmpose'))
    stages.run('data', '', lambda _: write_demo_data('data/demo'))
    pretrain = Config.fromfile(CONFIGS / 'demo_pretrain.py')
    joint = Config.fromfile(CONFIGS / 'demo_joint.py')
    new = {name: Config.fromfile(CONFIGS / f'demo_{name}.py') for name in ('sketch', 'pose')}
    summary = run_pipeline(pretrain, joint, stages, processes)
    added = add_tasks(summary['deposit'], new, stages, processes)
    deposit = Deposit(summary['deposit'])
    visualization.plot_answers(deposit.path, work_dir / 'answers.png')
    visualization.plot_joint_spec(deposit.joint, deposit.counts, work_dir / 'architectures.png')
    report = json.loads((work_dir / 'search' / 'report.json').read_text())
    visualization.write_report(report, work_dir / 'search')
    visualization.print_summary(summary, work_dir)
    visualization.print_added(added)


if __name__ == '__main__':
    main()

"""The table at the end of a pipeline."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from mdl_nas_mm.utils.amounts import shown_score


def print_summary(summary: dict, work_dir: str | Path) -> None:
    """Prints scores, sizes and where everything lies.

    Args:
        summary: as ``mdl_nas_mm.apis.pipeline.summarise`` gives it.
        work_dir: where the results are.
    """
    console = Console(width=110)
    table = Table(title='one deposit, all tasks')
    table.add_column('task')
    table.add_column('metric')
    for name in ('in the supernet', 'out of the deposit', 'parameters', 'backbone MACs'):
        table.add_column(name, justify='right')
    for task, result in summary['tasks'].items():
        table.add_row(
            task,
            result['metric'],
            shown_score(result['score_in_supernet'], result['unit']),
            shown_score(result['score'], result['unit']),
            f'{result["params"]:,}',
            f'{result["flops"]:,}',
        )
    console.print(table)
    sizes = Table(show_header=False, box=None)
    sizes.add_column()
    sizes.add_column(justify='right')
    sizes.add_row('shared by the backbones', f'{summary["shared"]:,}')
    for task, count in summary['specific'].items():
        sizes.add_row(f'specific of {task}', f'{count:,}')
    for task, count in summary['heads'].items():
        sizes.add_row(f'head of {task}', f'{count:,}')
    sizes.add_row('total', f'{summary["total"]:,}')
    sizes.add_row('the same as separate models', f'{summary["separate"]:,}')
    sizes.add_row('bytes of the deposit', f'{summary["deposit_bytes"]:,}')
    console.print(sizes)
    minutes = sum(summary['seconds'].values()) / 60
    console.print(f'{minutes:.1f} minutes in all; everything lies in {work_dir}')
    console.print(f'the deposit: {summary["deposit"]}', soft_wrap=True)


def print_added(summary: dict) -> None:
    """Prints what became of new tasks and of the old ones.

    Args:
        summary: as ``mdl_nas_mm.apis.incremental.add_tasks`` gives it.
    """
    console = Console(width=110)
    table = Table(title='added, with the shared weights frozen')
    table.add_column('task')
    table.add_column('metric')
    for name in ('score', 'added parameters'):
        table.add_column(name, justify='right')
    for task, result in summary['tasks'].items():
        score = shown_score(result['score'], result['unit'])
        table.add_row(task, result['metric'], score, f'{result["added"]:,}')
    console.print(table)
    for task, difference in summary['differences'].items():
        console.print(f'largest difference of the answers of {task}: {difference:g}')
    minutes = sum(summary['seconds'].values()) / 60
    console.print(f'{minutes:.1f} minutes with these')
    console.print(f'the deposit: {summary["deposit"]}', soft_wrap=True)


def print_comparison(summary: dict, seconds: dict[str, float]) -> None:
    """Prints what tasks score together and alone, and what one pass for all saves.

    Args:
        summary: as ``mdl_nas_mm.apis.comparison.compare`` gives it.
        seconds: stage -> how long it took.
    """
    console = Console(width=110)
    table = Table(title='several tasks on the same images')
    for name in ('task', 'metric'):
        table.add_column(name)
    for name in ('together', 'alone', 'Delta_T', 'parameters', 'multiply-adds', 'ms an image'):
        table.add_column(name, justify='right')
    for task, result in summary['tasks'].items():
        table.add_row(
            task,
            result['metric'],
            *(shown_score(result[key], result['unit']) for key in ('together', 'alone')),
            f'{result["delta_t"]:+.1f} %',
            *(f'{result[key]:,}' for key in ('params', 'flops')),
            '',
        )
    table.add_section()
    for name, key in (('a model for each', 'each'), ('one pass for all', 'one')):
        change = f'{summary["delta_t"]:+.1f} %' if key == 'one' else ''
        sizes = (f'{summary[kind][key]:,}' for kind in ('params', 'flops'))
        table.add_row(name, '', '', '', change, *sizes, f'{summary["ms"][key]:.1f}')
    console.print(table)
    console.print(f'{sum(seconds.values()) / 60:.1f} minutes in all')

"""Tables of what a joint config's tasks take to store and to run."""

from __future__ import annotations

from rich.table import Table

_UNITS = ((1e9, 'G'), (1e6, 'M'), (1e3, 'K'))


def analysis_tables(report: dict) -> list[Table]:
    """The tables of a report of ``mdl_nas_mm.apis.analyze.analyze``."""
    params = Table(title='parameters')
    flops = Table(
        title='multiply-adds of one image; attention products are q k^T, attention times v, and '
        'relative positions'
    )
    columns = ('backbone', 'of it its own', 'neck', 'heads')
    for table, names in (
        (params, columns),
        (flops, ('input', 'backbone', 'without attention products', 'neck', 'heads', 'in all')),
    ):
        table.add_column('task', overflow='fold')
        for name in names:
            table.add_column(name, justify='right')
    most = max(task['flops'] for task in report['tasks'].values())
    # One for the whole table, so that rows can be compared.
    unit = next((unit for unit in _UNITS if most >= unit[0]), _UNITS[-1])
    for name, task in report['tasks'].items():
        numbers = (
            task['backbone_params'],
            report['specific'][name],
            task['neck_params'],
            task['head_params'] - task['neck_params'],
        )
        params.add_row(name, *(f'{number:,}' for number in numbers))
        keys = ('backbone_flops', 'backbone_flops_without_attention', 'neck_flops', 'head_flops')
        size = 'x'.join(str(side) for side in task['input_size'])
        values = [_count(task[key], unit) for key in (*keys, 'flops')]
        flops.add_row(name, size, *values)
    for each in report['passes']:
        values = (each['backbone_flops'], None, None, None, each['flops'])
        shown = ('' if value is None else _count(value, unit) for value in values)
        tasks = each['tasks']
        named = ' and '.join(tasks) if len(tasks) <= 3 else f'{len(tasks)} tasks'
        flops.add_row(f'{named} in one pass', '', *shown)
    sums = Table(title='all tasks')
    sums.add_column('')
    sums.add_column('backbones', justify='right')
    sums.add_column('with necks and heads', justify='right')
    sums.add_row('shared', f'{report["shared"]:,}', '')
    sums.add_row('one file', f'{report["backbone_total"]:,}', f'{report["total"]:,}')
    sums.add_row('separate models', f'{report["backbone_separate"]:,}', f'{report["separate"]:,}')
    return [params, flops, sums]


def _count(value: float, unit: tuple[float, str]) -> str:
    size, name = unit
    return f'{value / size:.2f} {name}'

"""Sections of a search's report about its run: where it ran, what it answers, what comes next."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from PIL import Image

from .page import folded, table

# Pixels that a picture keeps, and how much larger a tiny one is shown, such as a digit.
_WIDTH, _ENLARGED = 640, 5


def facts(report: Mapping) -> Iterable[str]:
    """Config, checkpoint, date, command, seed and versions, where the report has them."""
    run = report.get('run')
    if run is None:
        return
    rows = [(key, run[key]) for key in ('config', 'checkpoint', 'date', 'command', 'seed')]
    rows += [(name, number) for name, number in run['versions'].items()]
    yield folded('This run', table(('', ''), rows, texts=2))


def answers(report: Mapping, folder: Path) -> Iterable[str]:
    """What the chosen architectures answer, in pictures that are part of the page."""
    shown = []
    for task, files in (report.get('answers') or {}).items():
        pictures = [_embedded(folder / file, task) for file in files if (folder / file).is_file()]
        if pictures:
            shown.append(f'<div><h3>{escape(task)}</h3>{"".join(pictures)}</div>')
    if shown:
        yield '<h2>Answers</h2>'
        yield (
            '<p class="quiet">Of the chosen architectures, to some of the images that they were '
            'scored on, with the label where upstream draws it beside the answer.</p>'
        )
        yield f'<div class="cards tasks">{"".join(shown)}</div>'


def next_commands(report: Mapping, folder: Path) -> Iterable[str]:
    """What may be run next, to copy."""
    run = report.get('run')
    if run is None or not run['config']:
        return
    config, checkpoint, spec = run['config'], run['checkpoint'], folder / 'joint_spec.json'
    lines = [
        f'mdl-nas test {config} {checkpoint} --joint-spec {spec}',
        f'mdl-nas deposit pack {config} --checkpoint {checkpoint} --joint-spec {spec} '
        '--out deposit.safetensors --scored',
        'mdl-nas infer deposit.safetensors PHOTOS --out-dir answers',
        f'mdl-nas search --from {folder / "history.jsonl"} --budget ANOTHER',
    ]
    yield '<h2>Next</h2>'
    yield f'<div class="card"><pre>{escape(chr(10).join(lines))}</pre></div>'


def _embedded(path: Path, task: str) -> str:
    """A picture as an element that needs no other file."""
    image = Image.open(path).convert('RGB')
    if image.width > _WIDTH:
        height = max(1, round(image.height * _WIDTH / image.width))
        image = image.resize((_WIDTH, height))
    file, kind = io.BytesIO(), 'jpeg' if _ENLARGED * image.width > _WIDTH else 'png'
    image.save(file, kind, quality=85)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<img alt="an answer of {escape(task)}" style="max-width: {_ENLARGED * image.width}px" '
        f'src="data:image/{kind};base64,{data}"/>'
    )

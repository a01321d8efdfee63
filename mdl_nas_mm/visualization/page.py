"""A report as a page that needs nothing from elsewhere: its frame, tables, tiles and cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template

from .chart import COLOURS, Chart

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
:root { $light; --page: #f4f6f8; --card: #ffffff; }
@media (prefers-color-scheme: dark) { :root { $dark; --page: #0f1317; --card: #181d23; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 3rem; overflow-wrap: anywhere;
  background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: .95rem; margin: 0 0 .25rem; }
p { margin: .25rem 0 .5rem; max-width: 50rem; }
.quiet { color: var(--muted); font-size: .9rem; }
.cards { display: grid; gap: .75rem; align-items: start; }
.cards > *, .card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .75rem; min-width: 0; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); align-items: stretch; }
.pair { grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); }
.tasks { grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.tile b { display: block; font-size: 1.5rem; line-height: 1.3; font-weight: 650; }
.tile span { color: var(--muted); font-size: .85rem; }
svg { display: block; width: 100%; max-width: 34rem; height: auto; margin: 0 auto; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg text { font-family: system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif !important; }
.bar { display: flex; height: 1.5rem; border-radius: .3rem; overflow: hidden; margin: .2rem 0; }
.bar i { min-width: 1px; border-right: 1px solid var(--card); }
.bar i:last-child { border: 0; }
.key { display: inline-block; width: .75em; height: .75em; border-radius: .15em;
  margin: 0 .3em 0 0; }
img { display: inline-block; width: 100%; height: auto; margin: .3rem .3rem 0 0;
  image-rendering: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th { color: var(--muted); font-weight: 500; }
th:first-child, td:first-child, td.text, th.text { text-align: left; white-space: normal;
  min-width: 8rem; max-width: 22rem; }
tr:last-child > * { border-bottom: 0; }
details { margin: .75rem 0; }
summary { cursor: pointer; }
pre { overflow-x: auto; font-size: .8rem; margin: .5rem 0 0; }
</style>
</head>
<body>
$body
</body>
</html>
""")


def page(title: str, sections: Iterable[str]) -> str:
    """A whole page.

    Args:
        title: as a text.
        sections: elements of HTML, one below the other.
    """
    light, dark = (
        '; '.join(f'--{name}: {pair[i]}' for name, pair in COLOURS.items()) for i in range(2)
    )
    return _PAGE.substitute(title=escape(title), light=light, dark=dark, body='\n'.join(sections))


def tile(name: str, value: str, note: str) -> str:
    """A number with its name above and a note below."""
    parts = (f'<span>{escape(name)}</span>', f'<b>{escape(value)}</b>')
    return f'<div class="tile">{"".join(parts)}<span>{escape(note)}</span></div>'


def table(names: Sequence[str], rows: Iterable[Sequence], texts: int = 1) -> str:
    """A table whose first columns are texts, the others numbers."""

    def line(cells: Sequence, tag: str) -> str:
        kinds = [' class="text"' if i < texts else '' for i in range(len(cells))]
        inner = (f'<{tag}{kind}>{escape(str(cell))}</{tag}>' for cell, kind in zip(cells, kinds))
        return f'<tr>{"".join(inner)}</tr>'

    body = ''.join(line(row, 'td') for row in rows)
    return f'<div class="scroll"><table>{line(names, "th")}{body}</table></div>'


def task_cards(tasks: Sequence[str], charts: Mapping[str, Chart], name: str) -> str:
    """A figure for each task; ``name`` is another one for each set of a page."""
    cards = (
        f'<div><h3>{escape(task)}</h3>{charts[task].to_svg(f"{name}-{i}")}</div>'
        for i, task in enumerate(tasks)
    )
    return f'<div class="cards tasks">{"".join(cards)}</div>'


def folded(title: str, content: str) -> str:
    """What is shown when its title is clicked on."""
    return f'<details class="card"><summary>{escape(title)}</summary>{content}</details>'


def short(number: float) -> str:
    """A count of parameters in three or four digits: ``1.43 M``."""
    for unit, name in ((10**9, 'G'), (10**6, 'M'), (10**3, 'k')):
        if number >= unit:
            digits = 4 if number >= 100 * unit else 3
            return f'{number / unit:.{digits}g}\N{NO-BREAK SPACE}{name}'
    return f'{number:g}'

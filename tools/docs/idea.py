"""Draws what the package does, docs/images/idea.svg: python tools/docs/idea.py."""

from __future__ import annotations

from pathlib import Path

TASKS = (('classes', '#d9722e'), ('objects', '#3a8f4d'), ('label maps', '#9358b8'))
LIBRARIES = ('mmpretrain', 'mmdet', 'mmseg')
SHARED = '#4a78c8'
STYLE = """
  text { font: 15px system-ui, sans-serif; fill: #1f2933 }
  .small { font-size: 12.5px; fill: #52606d }
  .head { font-weight: 600; font-size: 16px }
  .card { fill: #f5f7fa; stroke: #9aa5b1 }
  .line { stroke: #7b8794; fill: none; stroke-width: 1.6 }
  .tip { fill: #7b8794 }
  .rest { fill: none; stroke: #7b8794; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7eb } .small { fill: #b8c0ca }
    .card { fill: #22272e; stroke: #616e7c } .line, .rest { stroke: #9aa5b1 } .tip { fill: #9aa5b1 }
  }"""
WIDTH, HEIGHT, TOP = 960, 330, 62


def text(x: float, y: float, said: str, kind: str = '', anchor: str = 'middle') -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{kind}">{said}</text>'


def box(x: float, y: float, width: float, height: float, fill: str = '', kind: str = '') -> str:
    look = f'fill="{fill}"' if fill else f'class="{kind}"'
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" {look}/>'


def arrow(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = (x0 + x1) / 2
    path = f'<path class="line" d="M{x0} {y0} C{middle} {y0} {middle} {y1} {x1 - 8} {y1}"/>'
    return path + f'<path class="tip" d="M{x1} {y1} l-9 -4.5 v9 z"/>'


def tasks() -> list[str]:
    """On the left, the configs that there are."""
    lines = [text(105, 32, 'Configs that you have', 'head')]
    for i, ((name, color), library) in enumerate(zip(TASKS, LIBRARIES)):
        y = TOP + i * 76
        lines += [box(20, y, 170, 58, kind='card'), box(20, y, 8, 58, color)]
        lines += [
            text(109, y + 25, name),
            text(109, y + 44, f'a config of {library}', 'small'),
        ]
        lines.append(arrow(190, y + 29, 286, TOP + 105))
    return lines


def backbone() -> list[str]:
    """In the middle, layers of which each task has its own architecture."""
    lines = [
        text(425, 32, 'One elastic backbone', 'head'),
        box(288, TOP - 14, 274, 236, kind='card'),
    ]
    for i in range(6):
        y = TOP + 2 + i * 33
        lines += [box(302, y, 246, 24, kind='rest'), box(302, y, 120 + 12 * (i % 3), 24, SHARED)]
        for j, (_, color) in enumerate(TASKS):
            lines.append(box(432 + 12 * (i % 3) + 28 * j, y, 18 + 4 * ((i + j) % 2), 24, color))
    lines.append(text(425, TOP + 213, 'each layer: shared, and owned by a task', 'small'))
    lines.append(text(425, TOP + 246, 'trained jointly; a search chooses sizes and', 'small'))
    lines.append(text(425, TOP + 263, 'share ratios of all tasks under one budget', 'small'))
    return lines + [arrow(562, TOP + 105, 640, TOP + 105)]


def deposit() -> list[str]:
    """On the right, the file and what comes out of it."""
    lines = [text(700, 32, 'One file', 'head'), box(642, TOP - 14, 116, 236, kind='card')]
    lines.append(box(656, TOP + 2, 88, 98, SHARED))
    lines.append(text(700, TOP + 213, 'shared: once', 'small'))
    for j, (name, color) in enumerate(TASKS):
        lines.append(box(656, TOP + 106 + 31 * j, 88, 24, color))
        y = TOP + j * 76
        lines += [box(822, y, 118, 58, kind='card'), box(822, y, 8, 58, color)]
        lines += [text(885, y + 25, name), text(885, y + 44, 'a plain model', 'small')]
        lines.append(arrow(758, TOP + 105, 820, y + 29))
    lines.append(text(885, TOP + 246, 'answers bit for bit', 'small'))
    return lines + [text(885, TOP + 263, 'as in the supernet', 'small')]


def draw() -> str:
    """The whole picture; colours follow the reader's light or dark setting."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    title = '<title>Tasks go in, share one elastic backbone, and come out of one file</title>'
    lines = [head, title, f'<style>{STYLE}\n</style>', *tasks(), *backbone(), *deposit()]
    return '\n'.join([*lines, '</svg>', ''])


if __name__ == '__main__':
    path = Path(__file__).resolve().parents[2] / 'docs' / 'images' / 'idea.svg'
    path.write_text(draw(), encoding='utf-8')
    print(path)

"""A figure as a PNG file, or as an SVG for a page that may be light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from pathlib import Path

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdl_nas_mm.utils.files import written_whole

# Name -> colour on a light and on a dark page. No two light ones are equal, as a page's SVG has
# the name in place of the light colour.
COLOURS = {
    'ink': ('#1f2328', '#e6e9ec'),
    'muted': ('#5c6670', '#a0aab4'),
    'line': ('#d5dbe1', '#39414a'),
    'shared': ('#2f6fb5', '#64a5e6'),
    'specific': ('#d47a1f', '#efa04e'),
    'evolution': ('#6f4bb8', '#b597f2'),
    'random': ('#848d97', '#848e99'),
    'chosen': ('#c22f4a', '#ff7088'),
}
INK, MUTED, LINE, SHARED, SPECIFIC, EVOLUTION, RANDOM, CHOSEN = (
    light for light, _ in COLOURS.values()
)
_STYLE = {
    'font.size': 10,
    'text.color': INK,
    'text.parse_math': False,
    'axes.edgecolor': LINE,
    'axes.labelcolor': MUTED,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': LINE,
    'grid.linewidth': 0.7,
    'xtick.color': LINE,
    'ytick.color': LINE,
    'xtick.labelcolor': MUTED,
    'ytick.labelcolor': MUTED,
    'xtick.labelsize': 9,
    'ytick.labelsize': 9,
    'legend.frameon': False,
    'legend.fontsize': 9,
    'svg.fonttype': 'none',
}


class Chart:
    """A figure, and a text for some of its artists that a page shows under the pointer.

    Args:
        plot: draws on the chart; called once.
        size: (width, height) in inches.
        shape: (rows, columns) of axes.
    """

    def __init__(
        self,
        plot: Callable[[Chart], None],
        size: tuple[float, float],
        shape: tuple[int, int] = (1, 1),
    ) -> None:
        self.tips: list[str] = []
        with matplotlib.rc_context(_STYLE):
            self.figure = Figure(size, layout='constrained')
            self.axes: list[Axes] = list(self.figure.subplots(*shape, squeeze=False).flat)
            plot(self)

    def tip(self, artist: Artist, text: str) -> None:
        """Says what an artist stands for."""
        artist.set_gid(f'tip-{len(self.tips)}')
        self.tips.append(text)

    def write_png(self, path: Path) -> None:
        """Writes the figure on white."""
        with matplotlib.rc_context(_STYLE), written_whole(path) as temporary:
            self.figure.savefig(temporary, format='png', dpi=150)

    def to_svg(self, name: str) -> str:
        """The figure as an element of a page that has the colours as ``--ink`` and so on.

        Args:
            name: another one for each figure of a page, which keeps their references apart.
        """
        file = io.StringIO()
        with matplotlib.rc_context({**_STYLE, 'svg.hashsalt': name}):
            self.figure.savefig(file, format='svg', transparent=True, metadata={'Date': None})
        text = file.getvalue()
        text = text[text.index('<svg') :]
        text = re.sub(r'\s*<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
        text = re.sub(r'<style.*?</style>', '', text, flags=re.DOTALL)
        text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 role="img">', text, count=1)
        text = re.sub(r'<g id="([^"]*)"([^>]*)>', self._group, text)
        for colour, (light, _) in COLOURS.items():
            text = text.replace(light, f'var(--{colour})')
        return text

    def _group(self, match: re.Match) -> str:
        """A group's opening without its id, which other figures of the page have as well."""
        kind, _, number = match[1].partition('-')
        title = f'<title>{escape(self.tips[int(number)])}</title>' if kind == 'tip' else ''
        return f'<g{match[2]}>{title}'


def shortened(name: str, length: int) -> str:
    """A name that fits above a figure, its middle left out where it is too long."""
    half = (length - 1) // 2
    return name if len(name) <= length else f'{name[:half]}…{name[-half:]}'

"""What the pages of the documentation consist of, for tests."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
SITE = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())
OUTSIDE = SITE['extra']['outside']
sys.path.insert(0, str(ROOT / 'tools' / 'docs'))
LINK = re.compile(r'\]\((?!https?://|mailto:)([^)#\s]*)(#[^)\s]*)?\)')


def pages() -> dict[str, Path]:
    """Page of the site -> its file."""
    docs = {p.relative_to(ROOT / 'docs').as_posix(): p for p in (ROOT / 'docs').rglob('*.md')}
    return docs | {page: ROOT / path for page, path in OUTSIDE.items()}


def prose(text: str) -> str:
    """A page without its blocks of code, in which brackets are no links."""
    return re.sub(r'^(```+).*?^\1$', '', text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """What links may name in a page: its headings, as GitHub and the site write them."""
    headings = re.findall(r'^#+ (.*)$', prose(text), flags=re.MULTILINE)
    plain = [re.sub(r'[^\w\- ]', '', heading).strip().lower() for heading in headings]
    return {'#' + heading.replace(' ', '-') for heading in plain}


def commands(text: str) -> list[str]:
    """The `mdl-nas` commands of a page, each on one line, in the order in which they stand."""
    joined = re.sub(r' *\\\n *', ' ', text)
    found = re.findall(r'^(?: {4}|\$ |`{0})(mdl-nas [^\n]*?)(?: {2,}#.*)?$', joined, re.MULTILINE)
    return [command.strip() for command in found]


def inline_commands(text: str) -> list[str]:
    """The `mdl-nas` commands that stand within the text of a page."""
    return [' '.join(found.split()) for found in re.findall(r'`(mdl-nas [^`]*)`', prose(text))]


def files(text: str) -> dict[str, str]:
    """Name -> content of the files that a page says to write."""
    return dict(re.findall(r'^```python title="(\S+)"\n(.*?)^```', text, re.MULTILINE | re.DOTALL))

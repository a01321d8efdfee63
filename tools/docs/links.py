"""Links between pages, as the repository has them and as the site needs them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

_LINK = re.compile(r'\[([^\]]*)\]\((?!https?://|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)')
_DOCS = 'docs/'


def titles(nav: Any) -> dict[str, str]:
    """Page -> its title, of a navigation as mkdocs.yml says it."""
    if isinstance(nav, list):
        return {page: title for entry in nav for page, title in titles(entry).items()}
    found = {}
    for title, entry in nav.items():
        found |= {entry: title} if isinstance(entry, str) else titles(entry)
    return found


def on_site(markdown: str, page: str, outside: Mapping[str, str], named: Mapping[str, str]) -> str:
    """A page whose links lead to pages of the site.

    Of a link to a file of the repository that is no page its text stays. One that is called by its
    file is called by its title.

    Args:
        markdown: the page as the repository has it.
        page: its place on the site, such as ``methods/ecmt.md``.
        outside: place on the site -> file of the repository, of pages that lie outside of docs/.
        named: place on the site -> title.
    """
    file = outside.get(page, _DOCS + page)
    places = {there: here for here, there in outside.items()}

    def place(found: re.Match[str]) -> str:
        text, path, anchor = found[1], found[2], found[3] or ''
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
        there = places.get(target)
        if there is None and target.startswith(_DOCS):
            there = target[len(_DOCS) :]
        if there is None:
            return text
        if text.endswith('.md'):
            text = named.get(there, text)
        return f'[{text}]({posixpath.relpath(there, posixpath.dirname(page) or ".")}{anchor})'

    return _LINK.sub(place, markdown)

"""What mkdocs asks while it builds the site: pages from outside of docs/, tables, links."""

from __future__ import annotations

import links
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from sources import ROOT
from tables import filled


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that lie beside the code which they are about."""
    for page, path in config.extra['outside'].items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts in tables that are made of the code, and turns links to the repository."""
    named = links.titles(config.nav)
    return links.on_site(filled(markdown), page.file.src_uri, config.extra['outside'], named)

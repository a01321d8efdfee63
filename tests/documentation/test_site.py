"""The site as it is built and as a browser shows it, where there is what that needs."""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from documentation.pages import ROOT, pages
from PIL import Image

MKDOCS = ROOT / '.venv-docs' / 'bin' / 'mkdocs'
NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MKDOCS.exists(), reason='there is no .venv-docs: make docs'),
]
needs_browser = pytest.mark.skipif(BROWSER is None, reason=f'none of {NAMES} is on the PATH')


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp('site')
    command = [MKDOCS, 'build', '--quiet', '--strict', '--site-dir', folder]
    env = os.environ | {'NO_MKDOCS_2_WARNING': '1'}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    return folder


def browse(folder, page, *options, width=1280, height=900):
    """What the browser prints; without network, as nothing of the site is elsewhere."""
    command = [BROWSER, '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars']
    command += ['--host-resolver-rules=MAP * ~NOTFOUND', '--virtual-time-budget=8000']
    command += [f'--user-data-dir={folder.parent / "profile"}', '--enable-logging=stderr']
    command += [f'--window-size={width},{height}', *options, f'file://{folder}/{page}']
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)


def test_built_without_warnings_and_whole(site):
    for page in pages():
        assert (site / page).with_suffix('.html').is_file()
    api = (site / 'reference' / 'api' / 'apis.html').read_text()
    assert 'MultiTaskInferencer' in api and 'load_task' in api


def test_nothing_is_fetched_from_elsewhere(site):
    for path in site.rglob('*.html'):
        text = path.read_text()
        fetched = re.findall(r'<(?:script|img|iframe)[^>]* src="?(https?:[^" >]*)', text)
        fetched += re.findall(r'<link[^>]*stylesheet[^>]*href="?(https?:[^" >]*)', text)
        assert not fetched, path


@needs_browser
def test_search_answers_from_files(site):
    done = browse(site, 'reference/config.html?q=hypervolume', '--dump-dom')
    found = re.findall(
        r'<a href="[^"]*/(\w+)\.html[^"]*" class="md-search-result__link', done.stdout
    )
    assert 'ecmt' in found
    assert 'CONSOLE' not in done.stderr


@needs_browser
@pytest.mark.parametrize('page', ['index', 'start_here', 'reference/backbones'])
@pytest.mark.parametrize('width', [500, 1280])
def test_picture_of_a_page_is_no_empty_one(site, tmp_path, page, width):
    shot = tmp_path / 'page.png'
    browse(site, f'{page}.html', f'--screenshot={shot}', width=width)
    pixels = np.asarray(Image.open(shot).convert('L'))
    text = pixels[pixels.shape[0] // 5 :]
    assert pixels.shape == (900, width) and text.std() > 10 and len(np.unique(text)) > 50

"""The report of a search in a real browser, where there is one on the PATH."""

import re
import shutil
import subprocess
from html import escape

import numpy as np
import pytest
from PIL import Image
from reports import SWIN, make_report

from mdl_nas_mm.visualization.search_report import write_report

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f'none of {NAMES} is on the PATH')
WINDOW, PHONE, DESKTOP = (1300, 1600), 390, 1280
# Says, after all is laid out, how wide the page is and what sticks out of it or is empty.
MEASURE = """<script>addEventListener('load', () => {
  const box = element => element.getBoundingClientRect();
  const out = [...document.querySelectorAll('body *')].filter(
    e => !e.closest('.scroll, pre, svg, title') && box(e).right > innerWidth + 1);
  const texts = [...document.querySelectorAll('svg text')].filter(
    e => { const a = box(e), b = box(e.closest('svg'));
           return a.right > b.right + 1 || a.left < b.left - 1; });
  const flat = [...document.querySelectorAll('svg')].filter(e => box(e).height < 100);
  parent.document.documentElement.dataset.measured = [innerWidth,
    document.documentElement.scrollWidth, out.length, texts.length, flat.length].join(' ');
});</script></head>"""


def browse(page, *options):
    """What the browser says on both streams."""
    command = [BROWSER, '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars']
    command += [f'--user-data-dir={page.parent / "profile"}', '--enable-logging=stderr']
    command += [f'--window-size={WINDOW[0]},{WINDOW[1]}', *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    tasks = ['cls', *(f'detection_of_{30 * "x"}_{i}' for i in range(3))]
    return write_report(make_report(tasks, SWIN), tmp_path_factory.mktemp('report'))[0]


@pytest.mark.parametrize('width', [PHONE, DESKTOP], ids=['phone', 'desktop'])
def test_nothing_sticks_out(page, width):
    """In a frame, as no window of a browser is as narrow as a phone."""
    inner = escape(page.read_text().replace('</head>', MEASURE))
    frame = page.with_name('frame.html')
    frame.write_text(
        '<!DOCTYPE html><link rel="icon" href="data:,">'
        f'<iframe srcdoc="{inner}" width="{width}" height="800" style="border: 0"></iframe>'
    )
    done = browse(frame, '--dump-dom')
    measured = re.search(r'data-measured="([^"]*)"', done.stdout)
    seen, scrolled, *wrong = map(int, measured[1].split())
    assert seen == width and scrolled <= width
    assert wrong == [0, 0, 0], 'elements or texts that stick out, figures without height'
    assert 'CONSOLE' not in done.stderr


def test_it_is_seen_in_light_and_dark(page):
    means = []
    for scheme in (1, 0):
        path = page.with_name('shot.png')
        setting = f'--blink-settings=preferredColorScheme={scheme}'
        browse(page, setting, f'--screenshot={path}')
        image = Image.open(path).convert('RGB')
        assert image.size == WINDOW
        pixels = np.asarray(image)
        # Text, cards and at least three colours of figures.
        assert len(np.unique(pixels.reshape(-1, 3) // 32, axis=0)) > 20
        means.append(pixels.mean())
    assert means[0] > 200 and means[1] < 60

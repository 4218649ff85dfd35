"""The realism study in headless Chromium, with real keys and touches."""

import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from helpers import chromium
from helpers.study_people import (
    Client,
    always_real,
    coin,
    kill,
    paint,
    perfect,
    serve,
    stored,
    trials_of,
)

from mmagic_mr.study.make import make_study
from mmagic_mr.study.score import score
from mmagic_mr.study.store import Store

# Frames are late where other tests take the processor.
pytestmark = pytest.mark.alone

# Notes, once a frame and apart from the page's own code, what is on the canvas.
OBSERVER = """
window.exposures = [];
(function look(now) {
  requestAnimationFrame(look);
  const stage = document.getElementById('stage');
  if (!stage) return;
  const pen = stage.getContext('2d', {alpha: false});
  const kinds = [0.1, 0.3, 0.5, 0.7, 0.9].map((part) => {
    const [x, y] = [part * stage.width, part * stage.height];
    const [r, g, b] = pen.getImageData(x, y, 1, 1).data;
    return b > 60 ? '' : r > 150 && g < 60 ? 'fake' : g > 150 && r < 60 ? 'real' : '';
  });
  const kind = kinds.every((k) => k === kinds[0]) ? kinds[0] : '';
  if (kind && !window.on) window.on = {kind, from: now};
  if (!kind && window.on) {
    window.exposures.push({kind: window.on.kind, ms: now - window.on.from});
    window.on = null;
  }
})(0);
"""


@pytest.fixture
def study(tmp_path):
    """Builder of a study with one method."""
    real = paint(tmp_path / 'real', 'real', 30)
    fake = paint(tmp_path / 'mr1', 'fake', 30)

    def build(**settings):
        make_study(tmp_path / 'study', real, {'mr1': fake}, practice=2, **settings)
        return tmp_path / 'study'

    return build


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    with chromium.chromium(tmp_path_factory.mktemp('profile')) as chrome:
        chrome.execute_cdp_cmd(
            'Page.addScriptToEvaluateOnNewDocument', {'source': OBSERVER}
        )
        yield chrome


class Person:
    """Somebody in front of the browser: looks at the page, presses keys or buttons."""

    def __init__(self, browser, link, decide, press):
        self.browser, self.link, self.press = browser, link, press
        self.decide = decide
        self.log = []  # (truth as seen on the screen, answer, exposure as observed)

    def screen(self):
        return self.browser.execute_script('return document.body.dataset.screen')

    def wait_for(self, *screens, seconds=20):
        end = time.monotonic() + seconds
        while (screen := self.screen()) not in screens:
            text = self.browser.execute_script('return document.body.innerText')
            assert time.monotonic() < end, f'at {screen}, not {screens}: {text}'
            assert screen != 'error', text
            time.sleep(0.01)
        return screen

    def text(self, name='text'):
        return self.browser.execute_script(
            'return document.getElementById(arguments[0]).innerText', name
        )

    def click(self, name):
        from selenium.webdriver.common.by import By

        self.browser.find_element(By.ID, name).click()

    def open(self):
        self.browser.get(self.link)

    def answer(self):
        """Answer the image that was just shown."""
        self.browser.execute_async_script(  # the observer is a frame behind
            'const done = arguments[0];'
            'requestAnimationFrame(() => requestAnimationFrame(() => done()))'
        )
        seen = self.browser.execute_script('return window.exposures.splice(0)')
        assert len(seen) == 1, f'one image once, not {seen}'
        answer = self.decide(seen[0]['kind'])
        self.press(self, answer)
        self.wait_for(
            'sending', 'feedback', 'loading', 'fixation', 'ready', 'break', 'done'
        )
        self.log.append((seen[0]['kind'], answer, seen[0]['ms']))

    def run(self, images=None):
        """Go on until the end, or until so many images were answered."""
        stops = ('consent', 'ready', 'break', 'answer', 'feedback', 'done')
        goal = None if images is None else len(self.log) + images
        while (screen := self.wait_for(*stops)) != 'done' and len(self.log) != goal:
            if screen == 'answer':
                self.answer()
            else:
                self.click('next' if screen == 'feedback' else 'go')


def by_letter(person, answer):
    type_key(person.browser, {'fake': 'f', 'real': 'J'}[answer])


def by_arrow(person, answer):
    type_key(person.browser, {'fake': '\ue012', 'real': '\ue014'}[answer])


def by_touch(person, answer):
    box = person.browser.execute_script(
        'const b = document.getElementById(arguments[0]).getBoundingClientRect();'
        'return [b.x + b.width / 2, b.y + b.height / 2]',
        answer,
    )
    chromium.touch(person.browser, box)


def type_key(browser, key):
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(key).perform()


def test_study_from_start_to_end(browser, study):
    """Perfect by letters, a coin by touch on a phone, always "real" by arrows.

    On the way the server is killed and a tab is closed.
    """
    asked = 110  # between two frames of 60 Hz
    folder = study(per_method=6, participants=3, exposure=asked / 1000, fixation=0.1)
    with serve(folder) as (server, links):
        port = urlsplit(links[0]).port
        one = Person(browser, links[0], perfect, by_letter)
        one.open()
        one.wait_for('consent')
        assert 'each for 0.11 s' in one.text()
        one.run(images=4)
        one.wait_for('answer')
        kill(server)
        one.answer()
        end = time.monotonic() + 10
        while not one.text('notice'):
            assert time.monotonic() < end
        assert 'nothing is lost' in one.text('notice')
    with serve(folder, port):
        one.wait_for('fixation', 'image', 'answer')
        assert one.text('notice') == ''
        one.run(images=2)
        browser.get('about:blank')
        one.open()
        assert one.wait_for('consent', 'ready') == 'ready'
        assert 'Welcome back' in one.text()
        assert '7 images to go' in one.text()
        one.run()
        assert 'Thank you' in one.text()
        assert len(one.log) == 14
        one.open()  # nothing is left to answer
        one.wait_for('done')

        two = Person(browser, links[1], coin(2), by_touch)
        with chromium.phone(browser):
            two.open()
            two.run()
            wide = browser.execute_script('return document.documentElement.scrollWidth')
            assert wide <= 360
        three = Person(browser, links[2], always_real, by_arrow)
        three.open()
        three.run()

    people = one, two, three
    result = score(Store(folder), resamples=100)
    assert [p['always'] for p in result['people']] == [None, None, 'real']
    trials = trials_of(folder)
    answers = stored(folder)
    errors = []
    for i, person in enumerate(people):
        own = [t for t in trials if t['participant'] == i + 1]
        # what was seen, said and stored is the same, trial by trial
        assert [t['truth'] for t in own] == [truth for truth, _, _ in person.log]
        assert [answers[t['id']] for t in own] == [said for _, said, _ in person.log]
        main = [pair[:2] for pair in person.log[2:]]
        hits = sum(pair == ('fake', 'fake') for pair in main)
        called = sum(said == 'fake' for _, said in main)
        errors.append(2 * (1 - 2 * hits / (6 + called)))
    assert errors[0] == 0
    assert errors[1] == pytest.approx(1, abs=0.5)  # 12 images only
    assert errors[2] == 2
    mean = result['methods']['mr1']['realism']['mean']
    assert mean == pytest.approx(np.mean(errors), abs=1e-9)

    # exposure: as the page measured it, and as somebody else saw it
    with Store(folder).transaction() as db:
        rows = db.execute(
            'SELECT a.*, views FROM answers a JOIN trials t ON t.id = a.trial '
            'ORDER BY participant, position'
        ).fetchall()
    observed = [ms for person in people for _, _, ms in person.log]
    smooth = 0
    for row, ms in zip(rows, observed, strict=True):
        assert 3 < row['frame_ms'] < 100
        assert row['rt_ms'] > row['shown_ms']
        if not row['dropped']:  # a busy machine may drop some
            smooth += 1
            assert abs(row['shown_ms'] - asked) <= row['frame_ms']
            assert abs(ms - row['shown_ms']) <= 1.5 * row['frame_ms']
    assert smooth >= len(rows) / 2
    assert sum(row['views'] > 1 for row in rows) <= 1  # the one with the closed tab


def test_goes_on_where_another_device_stopped(browser, study):
    folder = study(per_method=26, participants=1, exposure=0.1)
    with serve(folder) as (_, links):
        Client(links[0]).take(perfect, limit=2 + 49)
        person = Person(browser, links[0], perfect, by_letter)
        person.open()
        person.wait_for('ready')
        assert '3 images to go' in person.text()
        person.run(images=1)
        person.wait_for('break')
        assert '50 of 52 images are done' in person.text()
        person.run()
    assert len(stored(folder)) == 54


def test_forged_link_sees_no_study(browser, study):
    folder = study(per_method=2, participants=1)
    with serve(folder) as (_, links):
        browser.get(links[0] + 'x')
        text = browser.execute_script('return document.body.innerText')
        assert 'this link is not valid' in text

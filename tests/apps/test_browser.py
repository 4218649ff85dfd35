"""The explorer in headless Chromium, on a desktop and a phone, without an outside."""

import base64
import contextlib
import io
import urllib.request
import zipfile

import numpy as np
import pytest
from helpers import chromium, small_run
from helpers.explorer_page import Person, explorer
from PIL import Image

pytest.importorskip('gradio', reason='needs the extra: pip install .[app]')


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Two runs where `make demo` has its own, and so without arguments."""
    folder = tmp_path_factory.mktemp('photos')
    for i in range(3):
        pair = small_run.write_picture(folder / f'data/val/{i}.png', 64, seed=i)
        Image.open(pair).crop((0, 0, 64, 32)).save(pair)
    for name in 'crps', 'noise':
        run = folder / f'work_dirs/demo/{name}'
        small_run.write_pix2pix(run, folder / 'data', base_channels=4 + 4 * len(name))
    with explorer(folder) as address:
        yield address


@pytest.fixture(scope='module')
def holes(tmp_path_factory):
    """One run that fills holes."""
    folder = tmp_path_factory.mktemp('holes')
    run = small_run.write_inpainting(folder / 'glcic')
    with explorer(folder, run) as address:
        yield address


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    profile = tmp_path_factory.mktemp('profile')
    with chromium.chromium(profile, {'performance': 'ALL'}) as chrome:
        yield chrome


def pixels(content, side=32):
    """A picture of the page in its own size."""
    picture = np.asarray(Image.open(io.BytesIO(content)).convert('RGB'))
    factor = len(picture) // side
    return picture[::factor, ::factor]


def far(a, b):
    return np.abs(a.astype(int) - b).max()


def test_a_picture_is_uploaded_and_drawn_for(browser, photos, tmp_path):
    person = Person(browser, photos)
    # The page opens with a picture of the data set, and samples of both models
    person.until(lambda: len(person.contents('#samples-1')) == 8)
    opened = person.contents('#samples-0')
    assert len(person.contents('#examples')) == 3

    person.upload(small_run.write_picture(tmp_path / 'mine.png', seed=7))
    person.until(lambda: person.text('#note') == '32 x 32 pixels')
    first = person.draw(seed=1)
    assert len({*first}) == 8
    other = person.draw(seed=2)
    again = person.draw(seed=1)
    assert again == first
    assert not {*other} & {*first}
    assert not {*opened} & {*first}
    assert [*first] != person.contents('#samples-1')
    (mean,), (std,) = person.contents('#mean-0'), person.contents('#std-0')
    drawn = np.stack([pixels(content) for content in first]).astype(float)
    assert np.abs(pixels(mean) - drawn.mean(0)).max() <= 1.01
    assert Image.open(io.BytesIO(std)).width == 256

    browser.execute_script(
        'window.links = [];'
        'HTMLAnchorElement.prototype.click = function () { links.push(this.href); };'
    )
    person.click('#files')
    (url,) = person.until(lambda: browser.execute_script('return window.links'))
    with urllib.request.urlopen(url) as response:
        files = zipfile.ZipFile(io.BytesIO(response.read()))
    assert {'crps/000.png', 'crps/std.tiff', 'noise/007.png', 'noise.png'} < {
        *files.namelist()
    }
    assert (
        far(np.asarray(Image.open(files.open('crps/000.png'))), pixels(first[0])) == 0
    )

    # The way from one sample to another, and samples near one
    person.type('#second', 3)
    person.slide('#way', 20)
    person.until(
        lambda: (
            [far(pixels(c), pixels(first[2])) <= 1 for c in person.contents('#between')]
            == [True]
        )
    )
    seen = person.contents('#between')
    person.slide('#way', 9)
    person.until(lambda: person.contents('#between') not in ([], seen))
    (middle,) = map(pixels, person.contents('#between'))
    ends = [pixels(first[i]) for i in (0, 2)]
    assert min(far(middle, end) for end in ends) > 1
    person.slide('#distance', 0.1)
    person.click('#near')
    person.until(lambda: len(person.contents('#near-samples')) == 8)
    near = [pixels(content) for content in person.contents('#near-samples')]
    distances = [np.abs(n.astype(int) - drawn[0]).mean() for n in near]
    apart = np.abs(drawn[1:] - drawn[0]).mean()
    assert 0 < np.mean(distances) < 0.5 * apart

    urls = person.asked_for()
    assert len(urls) > 20
    assert [u for u in urls if not u.startswith((photos, 'data:', 'blob:'))] == []


def test_a_broken_file_and_wrong_numbers_give_a_message(browser, photos, tmp_path):
    person = Person(browser, photos)
    person.until(lambda: person.contents('#samples-0'))
    broken = tmp_path / 'broken.png'
    broken.write_bytes(b'\x89PNG no picture')
    person.upload(broken)
    person.until(lambda: 'broken.png is not a readable image' in person.text('#note'))
    assert '/' not in person.text('#note')
    assert person.contents('#upload') == []
    person.click('#draw')
    person.until(lambda: 'choose a picture first' in person.text('body'))
    person.upload(small_run.write_picture(tmp_path / 'mine.png', size=100))
    person.until(lambda: 'resized from 100 x 100' in person.text('#note'))
    person.draw()
    # A sample that is clicked is the one to be looked at
    person.click('#samples-0 .thumbnail-item:nth-child(5)')
    person.until(lambda: person.find('#first input').get_property('value') == '5')
    person.type('#first', 9)
    person.until(lambda: 'there is no sample 9: they are 1 to 8' in person.text('body'))


def test_the_browser_refuses_any_other_address(browser, photos):
    person = Person(browser, photos)
    refused = browser.execute_async_script(
        'const done = arguments[0];'
        'document.addEventListener("securitypolicyviolation",'
        '  (event) => done(event.blockedURI), {once: true});'
        'fetch("http://192.0.2.1/").catch(() => {});'
    )
    assert refused.startswith('http://192.0.2.1')
    assert 'http://192.0.2.1/' not in person.asked_for()
    request = urllib.request.Request(photos, headers={'Host': 'other.example'})
    with pytest.raises(urllib.error.HTTPError, match='400'):
        urllib.request.urlopen(request)


@pytest.mark.parametrize('device', ['desktop', 'phone'])
def test_what_is_painted_is_filled_and_no_more(browser, holes, tmp_path, device):
    on_phone = (
        chromium.phone(browser) if device == 'phone' else contextlib.nullcontext()
    )
    with on_phone:
        person = Person(browser, holes)
        person.click('#draw')
        person.until(lambda: 'choose a picture first' in person.text('body'))
        path = small_run.write_picture(tmp_path / 'face.png')
        person.upload(path)
        person.until(lambda: person.find('.hole-box[data-ready]'))
        person.click('#draw')
        person.until(lambda: 'paint a hole first' in person.text('body'))
        paint(person, device)
        hole = hole_of(person)
        assert hole[15:17, 10:22].all()
        assert not hole[:10].any()
        assert not hole[22:].any()

        samples = np.stack([pixels(content) for content in person.draw()])
        changed = (samples != np.asarray(Image.open(path))).any(-1)
        assert not changed[:, ~hole].any()
        assert changed[:, hole].any(0).all()
        if device == 'phone':
            wide = browser.execute_script('return document.documentElement.scrollWidth')
            assert wide <= 360
        urls = person.asked_for()
        assert [u for u in urls if not u.startswith((holes, 'data:', 'blob:'))] == []


def paint(person, device):
    """A stroke from left to right through the middle."""
    from selenium.webdriver import ActionChains

    canvas = person.find('.hole-stage canvas')
    box = person.browser.execute_script(
        'arguments[0].scrollIntoView({block: "center"});'
        'const b = arguments[0].getBoundingClientRect();'
        'return [b.x, b.y, b.width, b.height]',
        canvas,
    )
    x, y, width, height = box
    if device == 'phone':
        points = [(x + width * part, y + height / 2) for part in (0.25, 0.5, 0.75)]
        chromium.touch(person.browser, *points)
        return
    actions = ActionChains(person.browser)
    actions.move_to_element_with_offset(canvas, int(-width / 4), 0).click_and_hold()
    actions.move_by_offset(int(width / 2), 0).release().perform()


def hole_of(person):
    url = person.browser.execute_script('return window.hole.mask()')
    mask = Image.open(io.BytesIO(base64.b64decode(url.split(',')[1])))
    return np.asarray(mask.convert('L')) > 127

"""Headless Chromium, as a desktop or as a phone."""

import contextlib
import shutil

import pytest


@contextlib.contextmanager
def chromium(profile, logs=None):
    """A browser of its own.

    Args:
        profile: Folder for its files.
        logs: What it is to write down, by name: {'performance': 'ALL'} its requests.
    """
    webdriver = pytest.importorskip('selenium.webdriver', reason='needs selenium')
    binary, driver = shutil.which('chromium'), shutil.which('chromedriver')
    if not (binary and driver):
        pytest.skip('needs chromium: apt-get install chromium chromium-driver')
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (
        'headless',
        'no-sandbox',
        'disable-gpu',
        'disable-quic',
        'no-first-run',
        'disable-background-networking',
        'disable-component-update',
        'disable-sync',
        'window-size=1280,900',
        f'user-data-dir={profile}',
    ):
        options.add_argument(f'--{flag}')
    if logs:
        options.set_capability('goog:loggingPrefs', logs)
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as chrome:
        chrome.set_script_timeout(20)
        yield chrome


@contextlib.contextmanager
def phone(browser, width=360, height=640):
    """The browser as a phone, with a touch screen."""
    size = dict(width=width, height=height, deviceScaleFactor=2, mobile=True)
    touch = 'Emulation.setTouchEmulationEnabled'
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)
    browser.execute_cdp_cmd(touch, {'enabled': True})
    try:
        yield
    finally:
        browser.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})
        browser.execute_cdp_cmd(touch, {'enabled': False})


def touch(browser, *points):
    """A finger goes over the screen: down at the first point, up at the last."""
    kinds = ['touchStart', *['touchMove'] * (len(points) - 1)]
    for kind, (x, y) in zip(kinds, points, strict=True):
        browser.execute_cdp_cmd(
            'Input.dispatchTouchEvent', dict(type=kind, touchPoints=[dict(x=x, y=y)])
        )
    browser.execute_cdp_cmd(
        'Input.dispatchTouchEvent', dict(type='touchEnd', touchPoints=[])
    )

"""Chromium, and what a person does with a page in it; the fixture ``browser`` is in conftest.py."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver import Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
# The sandbox refuses to run as root, as in a container. The camera shows a test pattern.
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--window-size=1300,900",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


def start_browser() -> webdriver.Chrome:
    if not (BROWSER and DRIVER):
        # Where CENTERNET_REQUIRE_BROWSER is set, as in .ci/run, these tests must not be skipped.
        missing = pytest.fail if "CENTERNET_REQUIRE_BROWSER" in os.environ else pytest.skip
        missing("Chromium and its driver are not installed: chromium, chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


class Page:
    """A page in the browser."""

    def __init__(
        self, browser: webdriver.Chrome, page: Path | str, *, ready: str, script: str = ""
    ) -> None:
        """Open a file or URL and wait until the script expression ``ready`` is true.

        The tab is a new one; ``script`` runs in it before the page.
        """
        self.browser = browser
        self.own = page if isinstance(page, str) else "file:"
        # Leaving a page with unsaved work asks the user, and Chromium sometimes hangs then.
        earlier = browser.current_window_handle
        browser.switch_to.new_window("tab")
        opened = browser.current_window_handle
        browser.switch_to.window(earlier)
        browser.close()
        browser.switch_to.window(opened)
        browser.set_window_size(1300, 900)
        browser.get_log("performance"), browser.get_log("browser")
        browser.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        browser.get(page if isinstance(page, str) else page.as_uri())
        self.wait(ready)

    def script(self, expression, *arguments):
        return self.browser.execute_script(f"return {expression}", *arguments)

    def wait(self, condition: str, seconds: float = 30):
        WebDriverWait(self.browser, seconds, 0.05).until(lambda _: self.script(condition))

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def one(self, selector):
        return self.all(selector)[0]

    def text(self, selector):
        return self.one(selector).text

    def slide(self, selector, value):
        """With the keyboard, as sliders are moved by those who cannot drag."""
        slider = self.one(selector)
        slider.send_keys(Keys.HOME)
        step, least = (float(slider.get_attribute(name)) for name in ("step", "min"))
        slider.send_keys(Keys.ARROW_RIGHT * round((value - least) / step))
        self.settle()
        assert float(slider.get_attribute("value")) == pytest.approx(value)

    def press(self, key):
        self.one("body").send_keys(key)
        self.settle()

    def settle(self):
        """Wait until the next picture is drawn."""
        self.browser.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )

    def requests(self):
        """The URLs that the page requested, except its own file or server, and what it contains."""
        events = (json.loads(entry["message"]) for entry in self.browser.get_log("performance"))
        asked = [
            event["message"]["params"]["request"]["url"]
            for event in events
            if event["message"]["method"] == "Network.requestWillBeSent"
        ]
        assert any(url.startswith(self.own) for url in asked)
        return [url for url in asked if not url.startswith((self.own, "data:", "blob:"))]

    def errors(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]


def download(page: Page, folder: Path, button: str) -> Path:
    """Click a button, and wait for its file."""
    page.browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    before = set(folder.iterdir())
    page.one(button).click()
    for _ in range(200):
        new = [p for p in set(folder.iterdir()) - before if p.suffix not in (".crdownload", ".tmp")]
        if new and new[0].stat().st_size:
            return new[0]
        time.sleep(0.05)
    raise AssertionError(f"no file after {button}")

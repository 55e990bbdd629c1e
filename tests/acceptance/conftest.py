"""The whole product, running, for the tests that look at it from outside."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from gridward.broker import HOST, free_port
from gridward.hub_client import HubClient
from gridward.stack import Stack
from simulators import panel
from tests.acceptance.console_hands import (
    BUILT,
    DESK,
    HANDLED,
    PHONE,
    WAIT_MS,
    WATCH_POLICY,
    Opener,
    enter,
    settled,
    until,
)
from tests.acceptance.device_line import DeviceLine

PANEL = "889"
DETECTOR = 18
SCENARIO = f"""
seed = 1
duration_s = 1
devices = [{{ family = "gbt26875", id = "{PANEL}", host = "{HOST}", port = 0, settings = {{}} }}]
"""


class RunningDemo(Struct, frozen=True):
    """What a test needs to know: where the console is, who may enter, and the panel to set on fire.

    `panel.act("smoke", component=18)` raises an alarm in the guest house; `panel.act("clear", component=18)` clears it.
    """

    url: str
    user: str
    password: str
    panel: DeviceLine
    stack: Stack

    @property
    def client(self) -> HubClient:
        """Logged in as the operator."""
        assert self.stack.client is not None
        return self.stack.client


@pytest.fixture(scope="session")
def running_demo(server_home: Path) -> Iterator[RunningDemo]:
    """Hub, edge, PostgreSQL and broker on free ports, and one panel that acts on command."""
    home = server_home / "demo"
    home.mkdir(mode=0o755)
    scenario = home / "panel.toml"
    scenario.write_text(SCENARIO)
    stack = Stack(home, scenario, lambda text: None, free_port(), durable=False)
    try:
        stack.start()
        line = DeviceLine(panel.build(PANEL, {}, 1), HOST, stack.venue.links["gbt26875"])
        try:
            yield RunningDemo(stack.venue.console_url, "operator", stack.venue.password, line, stack)
        finally:
            line.close()
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium on the PATH: apt-get install chromium")
    if not BUILT.is_file():
        pytest.skip("the console is not built: make setup")
    args = ["--no-sandbox", "--disable-background-networking", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=args)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser, running_demo: RunningDemo) -> Iterator[Opener]:
    """Makes pages, each a person with a browser of their own; afterwards none of them may have complained."""
    complaints: list[str] = []
    pages: list[Page] = []

    def complain(text: str) -> None:
        if not HANDLED.match(text):
            complaints.append(text)

    def make(path: str = "/", size: ViewportSize = DESK, locale: str = "en-US", sign_in: bool = True) -> Page:
        context = browser.new_context(viewport=size, locale=locale, base_url=running_demo.url, has_touch=size is PHONE)
        context.set_default_timeout(WAIT_MS)
        context.add_init_script(WATCH_POLICY)
        page = context.new_page()
        page.on("console", lambda message: complain(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complain(str(error)))
        pages.append(page)
        page.goto(path)
        if sign_in:
            enter(page, running_demo.user, running_demo.password)
            expect(page.get_by_test_id("live")).to_have_class(re.compile(r"\blive live\b"))
        return page

    expect.set_options(timeout=WAIT_MS)
    yield make
    for page in pages:
        page.context.close()
    assert complaints == []


@pytest.fixture
def smoke(running_demo: RunningDemo) -> Iterator[Callable[[], None]]:
    """Sets the guest house's detector off; it is quiet again after the test, and no incident is left open."""
    yield lambda: running_demo.panel.act("smoke", component=DETECTOR)
    running_demo.panel.act("clear", component=DETECTOR)
    until(lambda: settled(running_demo.client), "every incident settled")

"""Who uses the console without a mouse, without colours or without looking at it: axe over every page, keys, speech."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.acceptance.console_hands import DESK, PHONE, Opener

pytestmark = pytest.mark.acceptance

AXE = Path("hub/console/node_modules/axe-core/axe.min.js")
GRAVE = ("serious", "critical")
FIND = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map(({id, impact, nodes}) =>
    ({id, impact, nodes: nodes.map((node) => `${node.target.join(" ")}: ${node.html} ${node.failureSummary}`)}))"""
PANEL = "gbt26875:889"
GATEWAY = "gateway:gw-1"


@pytest.fixture
def axe() -> str:
    if not AXE.is_file():
        pytest.skip("axe-core is not there: make setup")
    return AXE.read_text()


def grave(page: Page, where: str) -> list[str]:
    """What axe finds in both themes, one line each."""
    found: list[str] = []
    for theme in ("light", "dark"):
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        violations: list[dict[str, Any]] = page.evaluate(FIND)
        found += [f"{where}, {theme}: {one['id']}: {one['nodes']}" for one in violations if one["impact"] in GRAVE]
    return found


def states(page: Page, phone: bool) -> Iterator[str]:
    """Brings the page into every state that an operator meets; says its name each time."""
    expect(page.locator("[data-incident].p0.waiting")).to_be_visible()
    yield "queue"
    number = page.locator("[data-incident].p0.waiting").get_attribute("data-incident")
    page.get_by_test_id("gateways").click()
    yield "gateways"
    page.keyboard.press("Escape")
    page.locator(".opener").last.click()
    yield "account"
    page.keyboard.press("Escape")
    page.locator("#queue .filter button").last.click()
    yield "closed"
    page.goto("/map" if phone else "/")
    expect(page.get_by_test_id("map")).to_have_attribute("data-ready", "true")
    yield "map"
    for index, drawer in enumerate(("list of devices", "legend")):
        page.locator(".drawers > button").nth(index).click()
        yield drawer
    for device in (PANEL, GATEWAY):
        page.goto(f"/?device={device}")
        expect(page.get_by_test_id("outputs")).to_be_visible()
        yield device
    page.goto(f"/incidents/{number}")
    expect(page.get_by_test_id("outputs")).to_be_visible()
    yield "incident"
    page.locator("[data-order]").first.click()
    yield "command"
    page.keyboard.press("Escape")
    page.locator("footer [data-action=note]").click()
    page.locator("dialog [type=submit]").click()
    yield "note without a text"
    page.keyboard.press("Escape")
    page.route("**/api/v1/live", lambda route: route.abort())
    page.evaluate("dispatchEvent(new Event('offline'))")
    expect(page.get_by_test_id("stale")).to_be_visible()
    yield "not live"


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("locale", ["zh-CN", "en-US"])
def test_no_page_shuts_anybody_out(
    open_page: Opener, smoke: Callable[[], None], axe: str, locale: str, size: ViewportSize
) -> None:
    page = open_page(size=size, locale=locale, sign_in=False)
    page.context.add_init_script(axe)
    page.reload()
    expect(page.locator("[name=username]")).to_be_visible()
    found = grave(page, "login")
    smoke()
    page = open_page(size=size, locale=locale)
    page.context.add_init_script(axe)
    page.reload()
    for state in states(page, size is PHONE):
        found += grave(page, state)
    assert found == []


def test_from_alarm_to_acknowledged_without_a_pointer(open_page: Opener, smoke: Callable[[], None]) -> None:
    page = open_page()
    smoke()
    expect(page.locator("[role=alert].unseen")).to_contain_text("New incident: P0 Life safety, Smoke, Guest house")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(4):
        if page.evaluate("document.activeElement.dataset.incident"):
            break
        page.keyboard.press("Tab")
    focused = page.locator("[data-incident].p0.waiting")
    expect(focused).to_be_focused()
    assert focused.evaluate("(element) => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#incident-title")).to_be_focused()
    button = page.locator("footer [data-action=acknowledge]")
    for _ in range(60):
        if button.evaluate("(element) => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("footer [data-action]").first).to_have_attribute("data-action", "dispatch")


def test_an_alarm_that_came_while_the_line_was_lost_is_announced_when_it_is_back(
    open_page: Opener, smoke: Callable[[], None]
) -> None:
    page = open_page()
    page.route("**/api/v1/live", lambda route: route.abort())
    page.evaluate("dispatchEvent(new Event('offline'))")
    expect(page.get_by_test_id("stale")).to_be_visible()
    witness = open_page("/map", size=PHONE)
    smoke()
    expect(witness.get_by_test_id("urgent")).to_be_visible()
    expect(page.locator("[data-incident].p0.waiting")).to_have_count(0)
    page.unroute("**/api/v1/live")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("[role=alert].unseen")).to_contain_text("New incident: P0 Life safety, Smoke, Guest house")


def test_nothing_moves_for_who_asked_for_no_motion(open_page: Opener, smoke: Callable[[], None]) -> None:
    page = open_page()
    smoke()
    row = page.locator("[data-incident].p0.waiting")
    expect(row).to_be_visible()
    page.emulate_media(reduced_motion="no-preference")
    assert row.evaluate("(element) => getComputedStyle(element).animationName") != "none"
    page.emulate_media(reduced_motion="reduce")
    assert row.evaluate("(element) => getComputedStyle(element).animationName") == "none"

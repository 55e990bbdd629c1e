"""Sirens from the console, and a life in danger while another page is open: the whole running product in a browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.acceptance.conftest import RunningDemo
from tests.acceptance.console_hands import PHONE, Opener, open_smoke

pytestmark = pytest.mark.acceptance


def test_the_siren_of_a_fire_is_silenced_and_sounded_from_its_incident(
    open_page: Opener, running_demo: RunningDemo, smoke: Callable[[], None]
) -> None:
    page = open_page()
    smoke()
    open_smoke(page)
    siren = page.locator("[data-testid=incident] [data-output=siren-guest-house]")
    expect(siren).to_have_attribute("data-state", "on")
    expect(siren).to_contain_text("Siren · Guest house")
    expect(siren).to_contain_text("automatic: Smoke, Guest house panel")

    siren.get_by_role("button", name="Silence").click()
    expect(page.locator("dialog")).to_contain_text("still raised here")
    expect(page.locator("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    assert running_demo.stack.venue.siren.read_text().strip() == "1"

    siren.get_by_role("button", name="Silence").click()
    page.locator("dialog [type=submit]").click()
    expect(siren.locator("[data-result]")).to_have_attribute("data-result", "confirmed")
    expect(siren.locator("[data-result]")).to_contain_text("operator")
    expect(siren).to_have_attribute("data-state", "off")
    expect(siren).to_contain_text("by operator")
    assert running_demo.stack.venue.siren.read_text().strip() == "0"
    expect(page.locator("footer [data-action=acknowledge]")).to_be_visible()  # silencing is not acknowledging

    other = open_page("/?device=gateway:gw-1", locale="zh-CN")  # somebody else sees who did it
    siren = other.locator("[data-output=siren-guest-house]")
    expect(siren).to_contain_text("操作人 operator")
    siren.locator("[data-order=on]").click()
    other.locator("dialog [type=submit]").click()
    expect(siren).to_have_attribute("data-state", "on")
    siren.locator("[data-order=off]").click()
    other.locator("dialog [type=submit]").click()
    expect(siren).to_have_attribute("data-state", "off")


@pytest.mark.parametrize(
    ("result", "reason", "said"),
    [
        ("accepted", "", "Taken by the gateway; the output has not said off yet."),
        ("refused", "no actuator", "Refused: no actuator"),
        ("expired", "expired", "Expired: it came to the gateway too late"),
        ("unanswered", "may still be done until 2026-11-24T04:00:00Z", "still be done until 2026-11-24 12:00:00"),
        ("", "", "Whether it was done is not known"),
    ],
)
def test_the_result_of_a_command_is_shown_as_it_is(
    open_page: Opener, smoke: Callable[[], None], result: str, reason: str, said: str
) -> None:
    page = open_page()
    smoke()
    open_smoke(page)
    siren = page.locator("[data-testid=incident] [data-output=siren-guest-house]")
    answer = {"nonce": "0", "result": result, "reason": reason}
    page.route("**/commands", lambda route: route.fulfill(json=answer) if result else route.abort("failed"))
    siren.locator("[data-order=off]").click()
    page.locator("dialog [type=submit]").click()
    expect(siren.locator("[data-result]")).to_contain_text(said)
    expect(siren).to_have_attribute("data-state", "on")  # what it is, not what was wished
    page.unroute("**/commands")
    siren.locator("[data-order=off]").click()
    page.locator("dialog [type=submit]").click()
    expect(siren).to_have_attribute("data-state", "off")


def test_a_life_in_danger_is_seen_and_heard_whatever_is_open(open_page: Opener, smoke: Callable[[], None]) -> None:
    page = open_page("/map", size=PHONE)
    smoke()
    bar = page.get_by_test_id("urgent")
    expect(bar).to_contain_text("Smoke · Guest house")
    page.get_by_test_id("sound").click()
    hush = page.get_by_test_id("hush")
    expect(hush).to_have_attribute("aria-pressed", "false")
    hush.click()
    expect(hush).to_have_attribute("aria-pressed", "true")
    bar.get_by_role("link").click()
    expect(page).to_have_url(re.compile(r"/incidents/\d+$"))
    expect(bar).to_have_count(0)  # it is on the screen now
    page.goto("/map")
    expect(bar).to_be_visible()
    page.goto("/")
    page.locator("[data-incident].p0.waiting").click()
    page.locator("footer [data-action=acknowledge]").click()
    expect(page.locator("footer [data-action=dispatch]")).to_be_visible()
    page.goto("/map")
    expect(page.get_by_test_id("live")).to_have_class(re.compile(r"\blive live\b"))
    expect(bar).to_have_count(0)

"""The console in a real browser, on the whole running product: an operator's eyes and hands."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.acceptance.conftest import DETECTOR, RunningDemo
from tests.acceptance.console_hands import PHONE, Opener, act, enter, expect_allowed, give_reason, open_smoke, until

pytestmark = pytest.mark.acceptance


def test_a_wrong_password_is_said_and_keeps_the_door_shut(open_page: Opener, running_demo: RunningDemo) -> None:
    page = open_page(sign_in=False)
    enter(page, running_demo.user, "wrong " + running_demo.password)
    expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
    expect(page.locator("[name=username]")).to_be_visible()
    enter(page, running_demo.user, running_demo.password)
    expect(page.locator("#queue")).to_be_visible()


def test_smoke_is_worked_from_alarm_to_closed(
    open_page: Opener, running_demo: RunningDemo, smoke: Callable[[], None]
) -> None:
    page = open_page()
    page.evaluate("window.loadedOnce = true")
    smoke()
    expect(page.locator("[data-incident].p0.waiting")).to_contain_text("Life safety")
    expect(page).to_have_title(re.compile(r"^\(1\) ⚠ P0 Smoke"))
    assert page.evaluate("window.loadedOnce")  # it came by itself

    number = open_smoke(page)
    case = page.get_by_test_id("incident")
    expect(case).to_contain_text("Guest house panel")
    expect(case.locator("dd", has_text=re.compile(r"^\+[\d.]+ s$"))).to_have_count(3)  # received, committed, seen
    expect_allowed(page, "acknowledge", "note")
    act(page, "acknowledge")
    expect_allowed(page, "dispatch", "resolve", "note")
    act(page, "note")
    give_reason(page, "Guard is two minutes away")
    expect(case).to_contain_text("Guard is two minutes away")
    act(page, "dispatch")
    expect_allowed(page, "arrive", "resolve", "note")
    act(page, "arrive")
    expect_allowed(page, "resolve", "note")

    act(page, "resolve")
    page.locator("dialog [type=submit]").click()
    expect(page.locator("dialog [role=alert]")).to_have_text("Please give a reason.")
    give_reason(page, "Burnt toast in room 3, aired")
    expect_allowed(page, "close", "note")

    act(page, "close")
    give_reason(page, "Checked twice")
    expect(page.locator("dialog [role=alert]")).to_contain_text("needs this confirmation")
    page.locator("dialog").get_by_role("button", name="Cancel").click()
    running_demo.panel.act("clear", component=DETECTOR)
    expect(case).to_contain_text("Nothing is raised any more.")

    act(page, "close")
    expect(page.locator("dialog [name=reason]")).to_have_value("Checked twice")  # what was typed is kept
    page.locator("dialog [type=submit]").click()
    expect(case).to_contain_text("This incident is closed.")
    expect(case).to_contain_text("Burnt toast in room 3, aired")
    expect(page.locator(f"#queue [data-incident='{number}']")).to_have_count(0)
    page.get_by_role("button", name="Closed", exact=True).click()
    expect(page.locator(f"#queue [data-incident='{number}']")).to_be_visible()


def test_a_fire_that_is_still_raised_is_closed_only_as_isolated(open_page: Opener, smoke: Callable[[], None]) -> None:
    page = open_page()
    smoke()
    open_smoke(page)
    act(page, "acknowledge")
    act(page, "resolve")
    give_reason(page, "Detector is faulty")
    act(page, "close")
    page.locator("dialog [name=isolated]").check()
    give_reason(page, "Isolated at the panel, guard stays")
    expect(page.get_by_test_id("incident")).to_contain_text("confirmed as isolated")
    expect(page.get_by_test_id("incident")).to_contain_text("This incident is closed.")


def test_a_console_that_is_not_live_says_so_and_is_not_fooled(open_page: Opener, smoke: Callable[[], None]) -> None:
    quick = open_page()
    smoke()
    number = open_smoke(quick)
    deaf = open_page(f"/incidents/{number}", sign_in=True)
    expect_allowed(deaf, "acknowledge", "note")
    deaf.route("**/api/v1/live", lambda route: route.abort())
    deaf.evaluate("dispatchEvent(new Event('offline'))")
    expect(deaf.get_by_test_id("stale")).to_contain_text("The live connection is lost.")

    act(quick, "acknowledge")
    expect_allowed(quick, "dispatch", "resolve", "note")
    act(deaf, "acknowledge")
    expect(deaf.locator("footer [role=alert]")).to_contain_text("has moved on since you looked")
    expect_allowed(deaf, "dispatch", "resolve", "note")

    deaf.unroute("**/api/v1/live")
    deaf.evaluate("dispatchEvent(new Event('online'))")
    expect(deaf.get_by_test_id("stale")).to_have_count(0)
    act(quick, "resolve")
    give_reason(quick, "Test of the line")
    expect_allowed(deaf, "close", "note")  # live again
    act(deaf, "close")
    deaf.locator("dialog [name=isolated]").check()
    give_reason(deaf, "Test of the line")
    expect(quick.get_by_test_id("incident")).to_contain_text("This incident is closed.")


def test_the_language_is_switched_and_remembered(open_page: Opener) -> None:
    page = open_page(locale="zh-CN")
    expect(page.locator("#queue-title")).to_have_text("事件")
    page.get_by_role("button", name="English").click()
    expect(page.locator("#queue-title")).to_have_text("Incidents")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.reload()
    expect(page.locator("#queue-title")).to_have_text("Incidents")


def test_an_ended_session_leads_to_the_login_and_back(
    open_page: Opener, running_demo: RunningDemo, smoke: Callable[[], None]
) -> None:
    smoke()
    until(lambda: running_demo.client.incidents("active"), "an incident")
    [incident] = running_demo.client.incidents("active")
    path = f"/incidents/{incident['incident']}?device=gbt26875:889"
    page = open_page(path)
    expect(page.get_by_test_id("device")).to_contain_text("gbt26875:889")
    assert page.evaluate("document.cookie + JSON.stringify(localStorage)").count("token") == 0
    page.context.clear_cookies()
    page.evaluate("dispatchEvent(new Event('offline'))")  # the stream comes back and is refused
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    enter(page, running_demo.user, running_demo.password)
    expect(page.get_by_test_id("device")).to_contain_text("gbt26875:889")
    assert page.url.endswith(path)

    page.get_by_role("button", name="Account").click()
    page.get_by_test_id("logout").click()
    expect(page.locator("[name=username]")).to_be_visible()
    page.reload()
    expect(page.locator("[name=username]")).to_be_visible()


@pytest.mark.parametrize("locale", ["zh-CN", "en-US"])
def test_a_phone_shows_one_thing_at_a_time_and_never_scrolls_sideways(
    open_page: Opener, smoke: Callable[[], None], locale: str
) -> None:
    page = open_page(size=PHONE, locale=locale)
    too_wide = "() => document.documentElement.scrollWidth > innerWidth"
    smoke()
    row = page.locator("[data-incident].p0").first
    expect(row).to_be_visible()
    expect(page.get_by_test_id("map")).to_have_count(0)
    assert not page.evaluate(too_wide)
    page.locator("nav a").nth(1).click()
    expect(page.get_by_test_id("map")).to_have_attribute("data-ready", "true")
    assert not page.evaluate(too_wide)
    page.locator("nav a").first.click()
    row.click()
    button = page.locator("footer [data-action]").first
    expect(button).to_be_in_viewport()
    assert not page.evaluate(too_wide)
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 44


def test_the_map_draws_and_a_device_is_reached_without_a_pointer(open_page: Opener) -> None:
    page = open_page()
    expect(page.get_by_test_id("map")).to_have_attribute("data-ready", "true")
    page.get_by_role("button", name=re.compile("^Devices")).press("Enter")
    page.keyboard.type("guest house panel")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("device")).to_contain_text("Fire panel")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("device")).to_have_count(0)

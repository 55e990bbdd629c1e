"""A device that nobody knows is enrolled with one click in a browser, on the whole running product."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from gridward.broker import HOST
from simulators import panel
from tests.acceptance.conftest import RunningDemo
from tests.acceptance.console_hands import PHONE, Opener, settled, until
from tests.acceptance.device_line import DeviceLine
from tests.acceptance.test_console_access import AXE, grave

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there: make setup"),
]

NATIVE_ID = "770001"
DEVICE = f"gbt26875:{NATIVE_ID}"


@pytest.fixture
def knocking(running_demo: RunningDemo) -> Iterator[DeviceLine]:
    """A panel that no file has, on the wire; nothing of it is enrolled before and after the test."""
    line = DeviceLine(panel.build(NATIVE_ID, {}, 2), HOST, running_demo.stack.venue.links["gbt26875"])
    try:
        line.act("smoke", component=3)
        yield line
    finally:
        line.close()
        for one in running_demo.client.enrolments():
            running_demo.client.withdraw(one["gateway"], one["device"])


def documents(running_demo: RunningDemo) -> int:
    """The version of the enrolments that the gateway works by."""
    return int(running_demo.client.gateways()[0]["documents"]["devices"])


def shut_out(page: Page, where: str) -> list[str]:
    page.evaluate(AXE.read_text())
    return grave(page, where)


def opened(page: Page) -> Locator:
    page.get_by_role("button", name=re.compile("^(Devices|设备)")).click()
    return page.get_by_test_id("knocking")


def test_a_stranger_is_enrolled_with_one_click_named_and_withdrawn(
    open_page: Opener, running_demo: RunningDemo, knocking: DeviceLine
) -> None:
    page = open_page()
    section = opened(page)
    stranger = section.locator(f"[data-stranger='{DEVICE}']")
    expect(stranger).to_contain_text("gbt26875")
    assert shut_out(page, "a stranger") == []
    page.get_by_role("searchbox").fill("guest")
    expect(section).to_have_count(0)  # who types a name, Tab, Enter opens that device and enrols nobody
    page.get_by_role("searchbox").fill("")
    stranger.get_by_role("button", name="Enrol").click()
    row = section.locator(f"[data-enrolment='{DEVICE}']")
    expect(row).to_have_attribute("data-state", "held")
    expect(row).to_contain_text("the gateway hears it from now on")
    expect(stranger).to_have_count(0)
    assert shut_out(page, "enrolled") == []
    knocking.wait_for(bool)  # what it says is confirmed to it now

    row.get_by_role("textbox").fill("Annex panel")
    row.get_by_role("button", name="Save").click()
    other = open_page(locale="zh-CN")
    opened(other)
    expect(other.get_by_role("button", name="Annex panel")).to_be_visible()
    expect(page.locator(".list").get_by_role("button", name="Annex panel")).to_be_visible()

    knocking.act("clear", component=3)
    until(lambda: settled(running_demo.client), "the smoke that made it knock is settled")
    held = documents(running_demo)
    row.get_by_role("button", name="Withdraw").click()
    expect(row).to_have_count(0)
    until(lambda: documents(running_demo) > held, "the gateway has let it go")
    knocking.act("smoke", component=4)
    expect(stranger).to_be_visible()


def test_what_the_gateway_refuses_is_said_in_words(
    open_page: Opener, running_demo: RunningDemo, knocking: DeviceLine
) -> None:
    gateway = running_demo.client.gateways()[0]["gateway"]
    running_demo.client.enrol(device="watch:770002", gateway=gateway, link="gone")
    page = open_page(size=PHONE, locale="zh-CN", path="/map")
    row = opened(page).locator("[data-enrolment='watch:770002']")
    expect(row).to_have_attribute("data-state", "refused")
    expect(row).to_contain_text("网关没有可用的接入链路")
    assert not page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
    assert shut_out(page, "refused") == []
    button = row.get_by_role("button", name="撤销登记")
    box = button.bounding_box()
    assert box is not None and box["height"] >= 44
    button.click()
    expect(row).to_have_count(0)

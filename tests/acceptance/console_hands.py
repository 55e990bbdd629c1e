"""What an operator does in the console, as verbs for the browser tests, and what their pages have in common."""

import re
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect

from gridward.hub_client import HubClient

WAIT_MS = 20_000
DESK = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=390, height=844)
BUILT = Path("hub/console/dist/index.html")
# A refusal that the console handles is still written to the browser's console; everything else there is a fault.
HANDLED = re.compile(r"^Failed to load resource: .*(status of (401|409|412|422|429) |net::ERR_FAILED)")
WATCH_POLICY = """addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"""

Opener = Callable[..., Page]


def until(found: Callable[[], object], what: str) -> None:
    give_up_at = time.monotonic() + WAIT_MS / 1000
    while not found():
        assert time.monotonic() < give_up_at, f"not {what}"
        time.sleep(0.05)


def settled(client: HubClient) -> bool:
    """Whether nothing is open any more; takes one step on whatever is clear and is not closed."""
    active = client.incidents("active")
    for incident in active:
        action = next((action for action in ("close", "resolve", "acknowledge") if action in incident["allowed"]), None)
        if action and not incident["uncleared"]:
            client.step(incident, action, "the test is over")
    return not active


def enter(page: Page, user: str, password: str) -> None:
    page.locator("[name=username]").fill(user)
    page.locator("[name=password]").fill(password)
    page.locator("form button[type=submit]").click()


def act(page: Page, action: str) -> None:
    page.locator(f"footer [data-action={action}]").click()


def expect_allowed(page: Page, *actions: str) -> None:
    buttons = page.locator("footer [data-action]")
    for index, action in enumerate(actions):
        expect(buttons.nth(index)).to_have_attribute("data-action", action)
    expect(buttons).to_have_count(len(actions))


def give_reason(page: Page, reason: str) -> None:
    page.locator("dialog [name=reason]").fill(reason)
    page.locator("dialog [type=submit]").click()


def open_smoke(page: Page) -> str:
    """Opens the incident of the smoke that waits; its number."""
    row = page.locator("[data-incident].p0.waiting")
    expect(row).to_have_count(1)
    number = row.get_attribute("data-incident")
    row.click()
    expect(page.get_by_test_id("incident")).to_contain_text(f"Incident {number}")
    return str(number)

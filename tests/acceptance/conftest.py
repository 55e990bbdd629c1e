"""The whole product, running, for the tests that look at it from outside."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from gridward.broker import HOST, free_port
from gridward.hub_client import HubClient
from gridward.stack import Stack
from simulators import panel
from tests.acceptance.device_line import DeviceLine

PANEL = "889"
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

"""kill -9 of each part under load, and a cut line: what devices were told was accepted is stored, exactly once.

The ledger comes from the simulators, which know neither edge nor hub; the audit (gridward.ledger) compares it with the
database row by row. Faults are placed by what has happened ("after 200 accepted reports"), never by a clock.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridward import clock, ledger
from gridward.broker import HOST
from gridward.processes import Child
from gridward.stack import Stack

pytestmark = pytest.mark.acceptance
WAIT_S_MAX = 120.0
BETWEEN_FAULTS = 150  # accepted reports

FAMILIES = {"gbt26875": 4, "watch": 12, "jt808": 12}
FAULTS = "drop = 0.0\nduplicate = 0.02\ngarbage = 0.02\n"


def scenario(seconds: int) -> str:
    """Many talkative devices of every family, with noise on their lines and alarms throughout."""
    devices, events = [], []
    for family, number in FAMILIES.items():
        for index in range(number):
            native_id = f"{9_000_000_000 + 1000 * len(family) + index}" if family != "gbt26875" else f"{900 + index}"
            devices.append(
                f'[[devices]]\nfamily = "{family}"\nid = "{native_id}"\nhost = "{HOST}"\nport = 0\n'
                f"settings = {{ report_every_s = 1 }}\n"
            )
            if family == "gbt26875":
                events += [
                    f'[[events]]\nat_s = {at}\ndevice = "gbt26875:{native_id}"\n'
                    f'action = "{action}"\nargs = {{ component = {1 + index} }}\n'
                    for at in range(3 + index, seconds - 5, 8)
                    for action in ("smoke", "clear")
                ]
    return f"seed = 7\nduration_s = {seconds}\n[faults]\n{FAULTS}\n" + "\n".join(devices + events)


@pytest.fixture
def stack(server_home: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    home = server_home / "faults"
    home.mkdir(mode=0o755, exist_ok=True)
    file = home / "load.toml"
    file.write_text(scenario(request.param))
    running = Stack(home, file, lambda text: None, console_port=0, durable=False)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def wait(happened: Callable[[], bool], what: str) -> None:
    give_up_at = clock.monotonic() + WAIT_S_MAX
    while not happened():
        assert clock.monotonic() < give_up_at, f"not within {WAIT_S_MAX:.0f} s: {what}"
        clock.pause(0.1)


def accepted(stack: Stack) -> int:
    return len(ledger.read(stack.venue.ledger))


def wait_for_more(stack: Stack, number: int = BETWEEN_FAULTS) -> None:
    goal = accepted(stack) + number
    wait(lambda: accepted(stack) >= goal or stack.played, f"{goal} accepted reports")
    assert not stack.played, "the load ended before the fault"


def kill(child: Child | None) -> None:
    assert child is not None
    child.send(signal.SIGKILL)
    assert child.ended_within(10)


def settle(stack: Stack) -> ledger.Balance:
    """Wait for the end of the load and for the last accepted report to arrive; the final balance."""
    wait(lambda: stack.played, "the end of the load")
    wait(lambda: not ledger.reconcile(stack.venue.ledger, stack.dsn).lost, "everything accepted is stored")
    return ledger.reconcile(stack.venue.ledger, stack.dsn)


@pytest.mark.parametrize("stack", [60], indirect=True)
def test_nothing_is_lost_or_doubled_when_each_part_is_killed(stack: Stack) -> None:
    stack.start_simulators()
    wait_for_more(stack)
    kill(stack.edge)
    stack.start_edge()
    wait_for_more(stack)
    kill(stack.hub)
    wait_for_more(stack)  # the edge accepts without the hub
    stack.start_hub()
    wait_for_more(stack)
    kill(stack.broker.child)
    wait_for_more(stack)
    stack.broker.start()
    wait_for_more(stack)
    kill(stack.postgres.child)
    wait_for_more(stack)
    stack.postgres.start()
    balance = settle(stack)
    assert balance.accepted > 6 * BETWEEN_FAULTS
    assert (balance.lost, balance.twice) == ([], [])

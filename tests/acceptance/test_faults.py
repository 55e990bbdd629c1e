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
from tests.acceptance.relay_thread import RelayThread

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
                    f'[[events]]\nat_s = {at + after_s}\ndevice = "gbt26875:{native_id}"\n'
                    f'action = "{action}"\nargs = {{ component = {1 + index} }}\n'
                    for at in range(3 + index, seconds - 5, 8)
                    for action, after_s in (("smoke", 0), ("clear", 4))
                ]
    return f"seed = 7\nduration_s = {seconds}\n[faults]\n{FAULTS}\n" + "\n".join(devices + events)


def loaded_stack(home: Path, seconds: int) -> Stack:
    file = home / "load.toml"
    file.write_text(scenario(seconds))
    return Stack(home, file, lambda text: None, console_port=0, durable=False)


@pytest.fixture
def stack_home(server_home: Path) -> Path:
    home = server_home / "faults"
    home.mkdir(mode=0o755, exist_ok=True)
    return home


@pytest.fixture
def stack(stack_home: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    running = loaded_stack(stack_home, request.param)
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


@pytest.fixture
def link(stack_home: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Stack, RelayThread]]:
    """A running stack whose edge reaches the broker only through a relay."""
    stack = loaded_stack(stack_home, request.param)
    with RelayThread(stack.broker.host, stack.broker.port) as relay:
        stack.edge_broker_port = relay.port
        try:
            stack.start()
            yield stack, relay
        finally:
            stack.stop()


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


def gateway_online(stack: Stack) -> bool:
    assert stack.client is not None
    return bool(stack.client.gateways()[0]["online"])


def cut_and_restore(stack: Stack, relay: RelayThread, seconds: float) -> None:
    """The line between edge and broker is gone for `seconds`; then everything accepted meanwhile arrives, once."""
    stack.start_simulators()
    wait_for_more(stack)
    relay.cut()
    wait(lambda: not gateway_online(stack), "the last will says that the gateway is offline")
    before = accepted(stack)
    clock.pause(seconds)
    assert accepted(stack) > before  # the edge accepts without its hub
    relay.restore()
    wait(lambda: gateway_online(stack), "the gateway is back")
    balance = settle(stack)
    assert balance.accepted > before + BETWEEN_FAULTS
    assert (balance.lost, balance.twice) == ([], [])


@pytest.mark.parametrize("link", [30], indirect=True)
def test_a_cut_line_loses_nothing(link: tuple[Stack, RelayThread]) -> None:
    cut_and_restore(*link, seconds=12)


@pytest.mark.soak
@pytest.mark.parametrize("link", [660], indirect=True)
def test_a_line_cut_for_ten_minutes_loses_nothing(link: tuple[Stack, RelayThread]) -> None:
    cut_and_restore(*link, seconds=600)

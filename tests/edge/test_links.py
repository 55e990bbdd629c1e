"""Links with real sockets: answered only when durable, one crash costs one connection, everything bounded."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Container, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from structlog.testing import capture_logs

from devices.families import FAMILIES
from devices.family import Family
from devices.observation import DeviceId, Event, Observation, Result
from edge import clock, intake, links_connection
from edge.actuators import Actuators
from edge.contacts import Contacts
from edge.flow import LinkError, Wiring
from edge.intake import Intake
from edge.links import TcpServer
from edge.pipeline import view_of
from edge.spool import Done, Spool
from edge.spool_file import SpoolError
from edge.turns import AT_ONCE, Turns
from tests.devices import frames
from tests.edge import site
from tests.edge.site import PANEL, Device, until

GATEWAY = DeviceId("gateway:gw")
ROWS_MAX = 2_000


class Rig:
    """A link of one family before a real spool, with what was appended noted down."""

    def __init__(self, folder: Path, family: Family, connections_max: int = 100, **changes: Any) -> None:
        config = site.config(folder, **changes)
        self.file = site.spool_file(folder / "state")
        self.spool = Spool(self.file, self.file._reports, lambda: None)
        self.actuators = Actuators(config.actuators, lambda act, error: None)
        self.contacts = Contacts({DeviceId(PANEL): 90.0}, (), clock.monotonic(), {DeviceId(PANEL): "gbt26875"})
        self.intake = Intake(
            gateway=GATEWAY,
            view=view_of(config.devices),
            rules=config.rules,
            actuators=self.actuators,
            spool=self.spool,
            answered=lambda answer: None,
            contacts=self.contacts,
        )
        self.link = self._link(family, connections_max, Turns())
        self.siren = folder / "siren"
        self.disk_hangs = threading.Event()
        write = self.file.write

        def when_it_does_not_hang(*arguments: Any) -> None:
            while self.disk_hangs.is_set():
                threading.Event().wait(0.001)
            write(*arguments)

        self.file.write = when_it_does_not_hang  # type: ignore[method-assign]

    def another(self, family: str) -> TcpServer:
        """A second link of this edge."""
        return self._link(FAMILIES[family], 10, self.link.lines.turns)

    def _link(self, family: Family, connections_max: int, turns: Turns) -> TcpServer:
        wiring = Wiring(
            name=family.name,
            settings=family.settings(),
            enrolled=frozenset({"889", "8800000015", "8800000016", "13912345678"}),
            intake=self.intake,
            rows_max=ROWS_MAX,
        )
        return TcpServer(wiring, family, turns, host="127.0.0.1", port=0, connections_max=connections_max)

    def silent_for(self, seconds: float) -> None:
        """Every device has been, from now."""
        self.contacts._heard_at = dict.fromkeys(self.contacts._heard_at, clock.monotonic() - seconds)

    def disk_full(self, full: bool) -> None:
        site.fill(self.file, full)

    def rows(self, lane: Any = "urgent") -> list[Observation]:
        return [row for _, row in site.held(self.file, lane)]


@asynccontextmanager
async def rig(
    folder: Path, family: str | Family = "gbt26875", connections_max: int = 100, **changes: Any
) -> AsyncIterator[Rig]:
    made = Rig(folder, FAMILIES[family] if isinstance(family, str) else family, connections_max, **changes)
    await made.link.open()
    try:
        yield made
    finally:
        made.disk_hangs.clear()
        made.link.stop_reading()
        await made.link.close()
        await made.spool.close()


async def test_a_report_is_answered_when_it_is_durable_and_not_before(tmp_path: Path) -> None:
    async with rig(tmp_path) as made, Device(made.link.port) as panel:
        made.disk_full(True)
        panel.send(site.smoke())
        await until(lambda: made.spool.failing, "the disk refuses")
        assert panel.received == b""
        await until(lambda: panel.ended, "the connection is ended unanswered")
        made.disk_full(False)
        async with Device(made.link.port) as again:
            again.send(site.smoke())
            await until(lambda: again.confirmed == 1, "answered")
        assert len(made.rows()) >= 1


async def test_a_second_delivery_is_answered_and_not_stored(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        for number in range(1, 4):
            async with Device(made.link.port) as panel:
                panel.send(site.smoke())
                await until(lambda: panel.confirmed == 1, "answered")
            raised = [row for row in made.rows() if row.body.kind == "smoke" and row.body.raised]  # type: ignore[union-attr]
            assert len(raised) == 1, number


async def test_the_siren_is_on_before_anything_is_durable_and_a_silenced_one_stays_silent(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.disk_full(True)
        async with Device(made.link.port) as panel:
            panel.send(site.smoke())
            await until(lambda: made.spool.failing, "the disk refuses")
            await until(lambda: made.siren.read_text() == "1", "the siren is on")
        made.disk_full(False)
        async with Device(made.link.port) as panel:
            panel.send(site.smoke(component=1))
            await until(lambda: panel.confirmed == 1 and made.siren.read_text() == "1", "answered, and on")
            made.siren.write_text("0")
            panel.send(site.smoke(component=1))
            await until(lambda: panel.confirmed == 2, "answered again")
            assert made.siren.read_text() == "0", "a report that was accepted before drives nothing"
            panel.send(site.smoke(serial=8, component=1))
            await until(lambda: made.siren.read_text() == "1", "a new report drives again")


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_pieces_of_any_size_give_the_same(tmp_path: Path, size: int) -> None:
    async with rig(tmp_path) as made, Device(made.link.port) as panel:
        data = b"noise" + site.smoke(1) + b"\r\n" + site.smoke(2, 0x13)
        for start in range(0, len(data), size):
            panel.send(data[start : start + size])
            await asyncio.sleep(0)
        await until(lambda: panel.confirmed == 2, "both answered")
        assert made.intake.counts.rejected == 2


async def test_half_a_frame_is_given_up_after_silence(tmp_path: Path) -> None:
    async with rig(tmp_path) as made, Device(made.link.port) as panel:
        panel.send(site.smoke()[:-4])
        await until(lambda: made.link.connections, "connected")
        [connection] = made.link.lines.connections
        await until(lambda: not connection._given_up, "bytes arrived")
        made.link.sweep()
        assert made.intake.counts.rejected == 0, "not yet"
        connection.look(clock.monotonic() + links_connection.QUIET_S + 0.1)
        await until(lambda: made.intake.counts.rejected > 0, "given up")
        panel.send(site.smoke(9))
        await until(lambda: panel.confirmed == 1, "the next frame is good")


async def test_a_connection_that_is_silent_for_too_long_is_ended(tmp_path: Path) -> None:
    async with rig(tmp_path) as made, Device(made.link.port) as panel:
        await until(lambda: made.link.connections, "connected")
        [connection] = made.link.lines.connections
        connection.look(clock.monotonic() + 2 * made.link.lines.family.silence_s_max - 1)
        assert not panel.ended
        connection.look(clock.monotonic() + 2 * made.link.lines.family.silence_s_max + 1)
        await until(lambda: panel.ended, "ended")


class Settings(Struct):
    pass


class Crashing:
    """A session with a bug: it cannot stand the byte "!"."""

    idled_broken = 0

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._out = b""
        self._broken = False

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        if b"!" in data:
            self._broken = True
            raise ZeroDivisionError
        self._out += data
        return [Observation(device=DeviceId(PANEL), observed_at=now, received_at=now, body=Event(kind="test"))]

    def idle(self, now: datetime) -> list[Result]:
        Crashing.idled_broken += self._broken
        return []

    def to_send(self) -> bytes:
        out, self._out = self._out, b""
        return out


CRASHING = Family(
    name="crashing",
    title="",
    links=("tcp_server",),
    integrity="",
    frame_bytes_max=10,
    silence_s_max=10,
    settings=Settings,
    open_session=Crashing,
)


async def test_a_crash_of_one_session_costs_one_connection_and_one_line(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with rig(tmp_path, CRASHING) as made, Device(made.link.port) as good:
            good.send(b"a")
            for _ in range(3):
                async with Device(made.link.port) as bad:
                    bad.send(b"!")
                    await until(lambda: bad.ended, "cut off")
            good.send(b"b")
            await until(lambda: good.received == b"ab", "the other one lives")
            assert made.link.connections == 1 and Crashing.idled_broken == 0
    assert [line["event"] for line in logs if line["event"].startswith("link")] == ["link_crashed"]


async def test_a_full_link_refuses_but_a_stranger_gives_way_to_a_device(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with (
            rig(tmp_path, connections_max=2) as made,
            Device(made.link.port) as known,
            Device(made.link.port) as quiet,
        ):
            known.send(site.smoke())
            await until(lambda: known.received, "answered")
            async with Device(made.link.port) as third:
                await until(lambda: quiet.ended, "the stranger gives way")
                third.send(site.smoke(8))
                await until(lambda: third.received, "answered")
                async with Device(made.link.port) as fourth:
                    await until(lambda: fourth.ended, "two devices are enough")
                    assert not third.ended and not known.ended and made.link.connections == 2
    assert [line["event"] for line in logs if line["event"].startswith("link")] == ["link_full"]


async def test_a_newer_connection_of_a_band_replaces_the_older(tmp_path: Path) -> None:
    async with rig(tmp_path, "watch") as made, Device(made.link.port) as older:
        older.send(frames.watch("LK"))
        await until(lambda: older.received, "answered")
        async with Device(made.link.port) as newer:
            newer.send(frames.watch("LK"))
            await until(lambda: newer.received and older.ended, "the older one is ended")
            newer.send(frames.watch("LK"))
            await until(lambda: len(newer.received) > len(frames.watch("LK")), "the newer one is not")
            assert made.link.connections == 1
        await until(lambda: made.link.connections == 0, "gone")
        assert not made.link.lines._of


async def test_a_line_of_several_bands_is_not_ended_by_one_of_them(tmp_path: Path) -> None:
    async with rig(tmp_path, "watch") as made, Device(made.link.port) as relay, Device(made.link.port) as own:
        relay.send(frames.watch("LK") + frames.watch("LK", "8800000016"))
        await until(lambda: len(relay.received) > len(frames.watch("LK")), "both answered")
        own.send(frames.watch("LK"))
        await until(lambda: own.received, "answered")
        relay.send(frames.watch("LK", "8800000016"))
        await until(lambda: len(relay.received) > 2 * len(frames.watch("LK")), "answered")


async def test_a_panel_may_have_two_connections(tmp_path: Path) -> None:
    async with rig(tmp_path) as made, Device(made.link.port) as one, Device(made.link.port) as two:
        for serial, device in enumerate((one, two, one), start=1):
            before = device.confirmed
            device.send(site.smoke(serial, serial))
            await until(lambda: device.confirmed > before, "answered")  # noqa: B023 - awaited at once


async def test_a_link_stops_reading_when_too_much_is_not_durable_and_goes_on_when_it_is(tmp_path: Path) -> None:
    async with rig(tmp_path, "jt808") as made, Device(made.link.port) as terminal:
        made.disk_hangs.set()
        for serial in range(ROWS_MAX):
            terminal.send(site.location(serial))
        await until(lambda: made.link.flow.holding, "reading stops")
        assert ROWS_MAX < made.spool.waiting_rows < ROWS_MAX + 400
        [connection] = made.link.lines.connections
        connection.last_byte_at -= 10_000
        made.link.sweep()
        async with Device(made.link.port) as another:
            another.send(site.location(ROWS_MAX))
            await until(lambda: made.link.connections == 2, "connected")
            assert not terminal.ended, "we did not listen: that is not its silence"
            made.disk_hangs.clear()
            await until(lambda: another.received, "answered")
        await until(lambda: made.spool.lane("routine").appended == 2 * ROWS_MAX + 2, "everything arrives", 30)
        await until(lambda: made.link.flow.rows == 0, "and is settled")
        assert not made.link.flow.holding


async def test_a_disk_that_hangs_under_one_link_does_not_keep_another_from_being_heard(tmp_path: Path) -> None:
    async with rig(tmp_path, "jt808") as made:
        made.disk_hangs.set()
        panels = made.another("gbt26875")
        await panels.open()
        async with Device(made.link.port) as terminal, Device(panels.port) as panel:
            for serial in range(ROWS_MAX):
                terminal.send(site.location(serial))
            await until(lambda: made.link.flow.holding, "reading stops")
            panel.send(site.smoke())
            await until(lambda: made.siren.read_text() == "1", "the siren is on")
            assert panel.received == b""
            made.disk_hangs.clear()
            await until(lambda: panel.confirmed == 1, "answered")
        await panels.close()


async def test_connections_that_flood_take_turns(tmp_path: Path) -> None:
    turns, read = Turns(), []
    for number in range(3 * AT_ONCE + 1):
        turns.wait(lambda number=number: read.append(number))  # type: ignore[misc]
    assert read == []
    for turn in range(1, 5):
        await asyncio.sleep(0)
        assert read == list(range(min(turn * AT_ONCE, 3 * AT_ONCE + 1)))
    turns.wait(lambda: read.append(99))
    await asyncio.sleep(0)
    assert read[-1] == 99


async def test_a_turn_of_the_loop_reads_few_pieces_of_a_flood(tmp_path: Path) -> None:
    """So that a panel's frame, which takes no turns, waits for so many pieces at most, however many others write."""
    loop, big = asyncio.get_running_loop(), 3 * links_connection.FLOOD_BYTES // len(site.location())
    async with rig(tmp_path, "jt808") as made, contextlib.AsyncExitStack() as stack:
        flood = [await stack.enter_async_context(Device(made.link.port)) for _ in range(40)]
        turn, pieces, take = 0, Counter[int](), made.intake.take

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            loop.call_soon(next_turn)

        def counted(link: str, results: Sequence[Result], done: Done) -> None:
            pieces[turn] += len(results) > big
            take(link, results, done)

        made.intake.take = counted  # type: ignore[method-assign]
        loop.call_soon(next_turn)
        for number, device in enumerate(flood):
            device.send(b"".join(site.location(200 * number + serial) for serial in range(200)))
        await until(lambda: made.spool.lane("routine").appended == 2 * 200 * len(flood), "everything arrived")
        assert sum(pieces.values()) > len(flood) and max(pieces.values()) <= AT_ONCE


async def test_a_device_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async with rig(tmp_path, CRASHING) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.link.port, limit=1024)
        try:
            writer.transport.set_write_buffer_limits(high=50_000_000)
            for _ in range(2_000):
                writer.write(b"x" * 8_192)
            await until(lambda: made.link.connections, "connected")
            await until(lambda: not made.link.connections, "cut off", 30)
        finally:
            writer.transport.abort()
        del reader


async def test_a_stranger_is_named_once_and_strangers_without_number_are_not(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with rig(tmp_path, "watch") as made, Device(made.link.port) as device:
            for number in range(intake.STRANGERS_MAX + 50):
                device.send(2 * frames.watch("LK", f"{number:010d}"))
            await until(lambda: made.intake.counts.rejected == 2 * (intake.STRANGERS_MAX + 50), "all looked at")
            await made.spool.settled()
            assert made.spool.lane("urgent").appended == intake.STRANGERS_MAX
            [first, *_] = made.rows()
    assert first.device == GATEWAY and isinstance(first.body, Event)
    assert first.body.kind == "unknown_device" and first.body.attributes["device"] == "watch:0000000000"
    assert sum(line["event"] == "device_not_enrolled" for line in logs) == intake.STRANGERS_MAX


async def test_a_stranger_is_named_once_more_when_it_says_what_it_is(tmp_path: Path) -> None:
    heartbeat = frames.jt808("0002", "", phone="000000000777")
    own_words = b"70001" + b"GT-20".ljust(20, b"\0") + b"0000777" + b"\1" + b"ZHE F12345"
    register = frames.jt808("0100", "002C012F" + own_words.hex(), phone="000000000777")
    async with rig(tmp_path, "jt808") as made, Device(made.link.port) as device:
        device.send(2 * heartbeat + 2 * register + heartbeat)
        await until(lambda: made.intake.counts.rejected == 5, "all looked at")
        await made.spool.settled()
        told = [row.body.attributes for row in made.rows() if isinstance(row.body, Event)]
    assert [one["frames"] for one in told] == ["1", "2"]
    assert "model" not in told[0] and told[1]["device"] == "jt808:777"
    assert [told[1][name] for name in ("maker", "model", "name")] == ["70001", "GT-20", "ZHE F12345"]


SPENT = """
import asyncio, resource, socket
from edge.listener import Listener

async def main():
    failures, lines = [], []
    def made():
        lines.append(asyncio.Protocol())
        return lines[-1]
    listener = Listener(made, failures.append)
    await listener.open("127.0.0.1", 0)
    caller = socket.socket()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (caller.fileno() + 1, hard))
    caller.setblocking(False)
    caller.connect_ex(("127.0.0.1", listener.port))
    turns = 0
    while turns < 2_000 or not failures:
        turns += 1
        await asyncio.sleep(0)
    assert len(failures) == 1 and failures[0].errno == 24 and not lines, (failures, lines)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    async with asyncio.timeout(10):
        while not lines:
            await asyncio.sleep(0.01)
    listener.close()
    print("taken at last")

asyncio.run(main())
"""


def test_a_link_without_descriptors_rests_and_does_not_spin() -> None:
    done = subprocess.run([sys.executable, "-c", SPENT], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "taken at last\n", done.stderr


async def test_a_stranger_gives_way_when_the_system_has_no_descriptor(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with rig(tmp_path) as made, Device(made.link.port) as known, Device(made.link.port) as stranger:
            known.send(site.smoke())
            await until(lambda: known.received and made.link.connections == 2, "connected")
            for _ in range(2):
                made.link._not_taken(OSError(24, "Too many open files"))
            await until(lambda: stranger.ended, "gone")
            assert not known.ended and made.link.connections == 1
    assert [line["event"] for line in logs if line["event"].startswith("link")] == ["link_cannot_accept"]


async def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.link._address = ("127.0.0.1", made.link.port)
        with pytest.raises(LinkError, match=r"^link gbt26875: cannot listen on 127\.0\.0\.1:\d+: .*in use$"):
            await made.link.open()


async def test_what_was_read_before_the_end_is_answered(tmp_path: Path) -> None:
    made = Rig(tmp_path, FAMILIES["gbt26875"])
    await made.link.open()
    async with Device(made.link.port) as panel:
        panel.send(site.smoke())
        await until(lambda: made.intake.counts.observations, "read")
        made.link.stop_reading()
        await made.spool.settled()
        await made.link.close()
        await until(lambda: panel.ended, "ended")
        assert panel.confirmed == 1
    await made.spool.close()


# --- intake: what the edge itself says ---------------------------------------------------------------


async def test_what_the_edge_says_is_said_again_when_the_disk_did_not_take_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.disk_full(True)
        made.intake.say([site.alarm(GATEWAY, "lost_contact"), site.steps(GATEWAY, 1)])
        await until(lambda: made.spool.failing, "the disk refuses")
        made.disk_full(False)
        made.intake.say_again()
        made.intake.say_again()
        await made.spool.settled()
        assert [row.body.kind for row in made.rows()] == ["lost_contact"]  # type: ignore[union-attr]
        assert made.rows("routine") == [], "a measurement of then is not worth it"


async def test_lost_contact_is_raised_cleared_and_remembered(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.silent_for(91)
        made.intake.supervise(1.0, {})
        await made.spool.settled()
        assert intake.stored_lost(made.file.kept(intake.LOST)) == [PANEL]
        async with Device(made.link.port) as panel:
            panel.send(site.smoke())
            await until(lambda: panel.received, "answered")
        await made.spool.settled()
        supervision = [row.body.raised for row in made.rows() if row.body.kind == "lost_contact"]  # type: ignore[union-attr]
        assert supervision == [True, False] and intake.stored_lost(made.file.kept(intake.LOST)) == []


async def test_nobody_is_lost_while_the_edge_itself_did_not_listen(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.silent_for(99)
        made.intake.supervise(intake.LATE_S, {})
        made.intake.supervise(1.0, {"gbt26875": 1.0})
        assert made.contacts.lost == []
        made.silent_for(91)
        made.intake.supervise(1.0, {"gbt26875": 0.5, "jt808": 1.0})
        assert made.contacts.lost == [PANEL]


async def test_a_disk_that_refuses_all_but_alarms_hides_no_silent_panel(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.intake.say([site.steps(GATEWAY, 1)])
        await until(lambda: made.rows("routine"), "stored")
        made.spool._finish([], SpoolError("disk full"), False)  # routine rows are refused
        assert made.spool.failing and not made.spool.refuses_alarms
        made.silent_for(91)
        made.intake.supervise(1.0, {})
        assert made.contacts.lost == [PANEL]


async def test_nobody_is_lost_while_the_disk_refuses_alarms(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.disk_full(True)
        made.intake.say([site.alarm(GATEWAY, "fault")])
        await until(lambda: made.spool.refuses_alarms, "refused")
        made.silent_for(91)
        made.intake.supervise(2.0, {})
        assert made.contacts.lost == []
        made.intake._unsaid.clear()  # nobody says that alarm again
        made.disk_full(False)
        made.intake.say([site.steps(GATEWAY, 1)])
        await until(lambda: not made.spool.failing, "the disk takes rows again")
        assert not made.spool.refuses_alarms
        made.silent_for(91)
        made.intake.supervise(1.0, {})
        assert made.contacts.lost == [PANEL]


async def test_a_link_that_is_held_counts_how_long(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        assert made.link.flow.take_held_s() == 0.0
        made.link.flow._held_since -= 100
        assert made.link.flow.take_held_s() == 0.0, "it was reading"
        delivery = made.link.flow.deliver(ROWS_MAX + 1)
        made.link.flow._held_since -= 5
        assert 5 <= made.link.flow.take_held_s() < 6
        made.link.flow._held_since -= 7
        made.link.flow.settle(delivery)
        assert 7 <= made.link.flow.take_held_s() < 8 and made.link.flow.take_held_s() == 0.0


async def test_a_rule_acts_on_what_the_edge_itself_finds(tmp_path: Path) -> None:
    when = {"group": "supervision", "priority_max": 2, "zones": ["hall"]}
    rule = {"name": "lost-siren", "when": when, "actuate": {"actuator": "siren", "state": "on"}}
    async with rig(tmp_path, rules=[rule]) as made:
        made.silent_for(91)
        made.intake.supervise(1.0, {})
        await until(lambda: made.siren.read_text() == "1", "the siren is on")
        made.siren.write_text("0")
        made.disk_full(True)
        made.intake.say([site.alarm(PANEL, "lost_contact")])
        await until(lambda: made.siren.read_text() == "1" and made.spool.failing, "on before the disk refuses")
        made.siren.write_text("0")
        made.disk_full(False)
        made.intake.say_again()
        await made.spool.settled()
        assert made.siren.read_text() == "0", "what is only said again drives nothing"


async def test_a_siren_that_a_person_silenced_stays_silent_while_the_disk_refuses(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.disk_full(True)
        for number in range(3):
            async with Device(made.link.port) as panel:
                panel.send(site.smoke())
                await until(lambda: panel.ended, "refused")
            if number == 0:
                await until(lambda: made.siren.read_text() == "1", "on")
                made.siren.write_text("0")
        async with Device(made.link.port) as panel:
            assert made.siren.read_text() == "0"
            panel.send(site.smoke(9))
            await until(lambda: made.siren.read_text() == "1", "another report drives again")


async def test_an_alarm_is_stored_and_answered_whatever_goes_wrong_with_the_siren(tmp_path: Path) -> None:
    async with rig(tmp_path) as made, Device(made.link.port) as panel:
        made.intake._actuators = None  # type: ignore[assignment]
        with capture_logs() as logs:
            panel.send(site.smoke())
            await until(lambda: panel.confirmed == 1, "answered")
        assert [row.body.kind for row in made.rows() if row.body.raised] == ["smoke"]  # type: ignore[union-attr]
        assert [line["event"] for line in logs] == ["rules_failed"]


async def test_what_the_edge_could_not_keep_of_its_own_is_counted(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        made.disk_full(True)
        made.intake.say([site.alarm(GATEWAY, "lost_contact") for _ in range(intake.UNSAID_MAX + 7)])
        await until(lambda: made.intake.counts.unsaid_dropped, "counted")
        assert made.intake.counts.unsaid_dropped == 7


@pytest.mark.parametrize("kept", ["", "[]", "nonsense", "[1]"])
def test_a_list_of_the_lost_that_cannot_be_read_is_empty(kept: str) -> None:
    assert intake.stored_lost(kept) == []


async def test_an_answer_does_not_wait_for_an_acknowledgement(tmp_path: Path) -> None:
    async with rig(tmp_path) as made, Device(made.link.port):
        await until(lambda: made.link.connections, "connected")
        [connection] = made.link.lines.connections
        assert connection._transport is not None
        line = connection._transport.get_extra_info("socket")
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

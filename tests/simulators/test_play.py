"""A scenario on real sockets, with bad lines: what must come comes, what was confirmed is there once."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devices.families import FAMILIES
from devices.family import Everyone
from devices.observation import Alarm, Observation, Position
from gridward.broker import free_port
from simulators import commands
from simulators import play as play_module
from simulators.device import SimulatedDevice
from simulators.play import Ledger, Play
from simulators.replay import ReplayError, replay
from simulators.scenario import load
from simulators.stage import Member
from simulators.truth import truth_of

PLAYED_S_MAX = 90
PLAYED = ("gbt26875", "watch", "jt808")
SCENARIO = """
seed = {seed}
duration_s = 60
[[devices]]
family = "gbt26875"
id = "889"
host = "127.0.0.1"
port = {gbt26875}
settings = {{ report_every_s = 0.5, heartbeat_s = 1 }}
[[devices]]
family = "watch"
id = "8800000001"
host = "127.0.0.1"
port = {watch}
settings = {{ report_every_s = 0.5, link_every_s = 1 }}
[[devices]]
family = "jt808"
id = "13957300001"
host = "127.0.0.1"
port = {jt808}
settings = {{ report_every_s = 0.5, heartbeat_s = 1, standard = "2019" }}
[[events]]
at_s = 10
device = "gbt26875:889"
action = "smoke"
[[events]]
at_s = 20
device = "watch:8800000001"
action = "sos"
[[events]]
at_s = 30
device = "jt808:13957300001"
action = "overspeed"
[[events]]
at_s = 40
device = "jt808:13957300001"
action = "overspeed_over"
[[events]]
at_s = 50
device = "gbt26875:889"
action = "clear"
[faults]
drop = 0.05
duplicate = 0.2
garbage = 0.2
delay_s = 0.02
reconnect_every_s = 0.8
"""


ONE_PANEL = """
duration_s = 1
[[devices]]
family = "gbt26875"
id = "889"
host = "127.0.0.1"
port = {port}
settings = {{ report_every_s = 0 }}
[[events]]
at_s = 0
device = "gbt26875:889"
action = "smoke"
"""


class Centre:
    """Takes connections of each family, stores each report once, answers after that."""

    def __init__(self) -> None:
        self.stored: list[Observation] = []
        self.connections: Counter[str] = Counter()
        self.bytes: dict[str, bytearray] = {name: bytearray() for name in FAMILIES}
        self._seen: set[str] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[dict[str, int]]:
        servers = {
            name: await asyncio.start_server(lambda r, w, name=name: self._serve(name, r, w), "127.0.0.1", 0)
            for name in PLAYED
        }
        yield {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}
        for server in servers.values():
            server.close()

    async def _serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections[name] += 1
        session = FAMILIES[name].open_session(FAMILIES[name].settings(), Everyone())
        try:
            while data := await reader.read(65536):
                self.bytes[name] += data
                self._store(session.receive(data, datetime.now(UTC)))
                writer.write(session.to_send())
        except OSError:
            return
        finally:
            writer.close()

    def _store(self, found: list[Any]) -> None:
        before = set(self._seen)
        for result in found:
            report = result.frame_id.partition(".")[0] if isinstance(result, Observation) else ""
            if report and report not in before and result.frame_id not in self._seen:
                self._seen |= {report, result.frame_id}
                self.stored.append(result)


def facts(observation: Observation) -> tuple[Any, ...] | None:
    body = observation.body
    if isinstance(body, Alarm):
        return observation.device, body.kind, body.component, observation.observed_at, body.raised
    if isinstance(body, Position):
        return observation.device, "position", "", observation.observed_at, round(body.longitude, 5)
    return None


def fact_of_row(row: dict[str, Any]) -> tuple[Any, ...] | None:
    """The same of a line of the ledger."""
    at, values = datetime.fromisoformat(row["observed_at"]), row["values"]
    if "raised" in values:
        return row["device"], row["kind"], row["component"], at, values["raised"]
    if row["kind"] == "position":
        return row["device"], "position", "", at, round(values["longitude"], 5)
    return None


async def test_a_scenario_on_bad_lines_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    centre, told = Centre(), []
    ledger_file = tmp_path / "ledger.jsonl"
    async with centre.open() as ports:
        file = tmp_path / "scenario.toml"
        file.write_text(SCENARIO.format(seed=3, **ports))
        scenario = load(file)
        play = Play(scenario, 12, Ledger(ledger_file), told.append)
        assert await asyncio.wait_for(play.run(), PLAYED_S_MAX) == 0
    assert [text.split()[-1] for text in told] == ["smoke", "sos", "overspeed", "overspeed_over", "clear"]
    assert all(centre.connections[name] >= 3 for name in PLAYED), "they hung up and dialled again"
    held = Counter(fact for observation in centre.stored if (fact := facts(observation)))
    ledger = [json.loads(line) for line in ledger_file.read_text().splitlines()]
    owed = Counter(fact for row in ledger if (fact := fact_of_row(row)))
    assert owed.total() > 12
    assert {fact: (count, held[fact]) for fact, count in owed.items() if held[fact] != count} == {}
    came = {(o.device, o.body.kind, o.body.raised) for o in centre.stored if isinstance(o.body, Alarm)}
    truth = truth_of(scenario)
    assert len(truth) == 5
    assert {(row.device, row.kind, row.raised) for row in truth} <= came
    assert {(row["device"], row["kind"]) for row in ledger} >= {(row.device, row.kind) for row in truth}


class Buggy:
    """A device that cannot stand to be answered."""

    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def receive(self, data: bytes, now: datetime) -> None:
        raise ZeroDivisionError


async def test_a_bug_in_a_device_ends_the_play(tmp_path: Path) -> None:
    async with Centre().open() as ports:
        file = tmp_path / "scenario.toml"
        file.write_text(SCENARIO.format(seed=3, **ports))
        play = Play(load(file), 20, Ledger(None), lambda text: None)
        for line in play._lines:
            line._members = [Member(one.spec, Buggy(one.device)) for one in line._members]
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(PLAYED_S_MAX):
                await play.run()


def test_reports_that_stay_unanswered_are_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(play_module), "DRAIN_S_MAX", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        file = tmp_path / "scenario.toml"
        file.write_text(ONE_PANEL.format(port=nobody.getsockname()[1]))
        told: list[str] = []
        assert commands.run([str(file), "--speed", "10"], told.append) == commands.UNANSWERED
        assert "1 unanswered" in told[-1]


def test_a_play_that_nobody_listened_to_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(play_module), "DRAIN_S_MAX", 0.2)
    port = free_port()
    file = tmp_path / "scenario.toml"
    file.write_text(ONE_PANEL.format(port=port))
    told: list[str] = []
    assert commands.run([str(file), "--speed", "10"], told.append) == commands.UNANSWERED
    assert told[-1] == f"gridward simulate: nobody listened on 127.0.0.1:{port}"


async def test_recorded_frames_are_sent_as_they_are_and_answers_shown(tmp_path: Path) -> None:
    up, down = "[3G*8800000015*0002*LK]", "[3G*8800000015*0002*CR]"
    heart = "[3G*8800000015*0008*heart,71]"
    file = tmp_path / "frames.jsonl"
    lines: list[dict[str, Any]] = [
        {"id": "w-1", "frame_text": up},
        {"id": "w-2", "direction": "down", "frame_text": down},
        {"id": "w-3", "frame_hex": heart.encode().hex(), "expect": {"any": "thing"}},
        {"id": "w-4", "layer": "app_data_unit", "frame_hex": "00"},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    centre, told = Centre(), []
    async with centre.open() as ports:
        assert await replay(file, "127.0.0.1", ports["watch"], told.append) == 2
    assert told == [
        f"w-1: 23 bytes, answered {up.encode().hex()}",
        f"w-3: {len(heart)} bytes, answered nothing",
    ]
    assert bytes(centre.bytes["watch"]) == (up + heart).encode()


async def test_what_cannot_be_replayed_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "frames.jsonl"
    for text, said in (("{}\n{", r"frames.jsonl:2: "), ('{"frame_hex": "0g"}', r"frames.jsonl:1: ")):
        file.write_text(text)
        async with Centre().open() as ports:
            with pytest.raises(ReplayError, match=said):
                await replay(file, "127.0.0.1", ports["watch"], print)
    file.write_text("{}\n")
    with pytest.raises(ReplayError, match=r"frames\.jsonl: no frames"):
        await replay(file, "127.0.0.1", 1, print)
    file.write_text('{"frame_hex": "00"}')
    with pytest.raises(ReplayError, match=r"127\.0\.0\.1:1: "):
        await replay(file, "127.0.0.1", 1, print)
    with pytest.raises(ReplayError, match=r"nowhere\.jsonl: No such file"):
        async with Centre().open() as ports:
            await replay(tmp_path / "nowhere.jsonl", "127.0.0.1", ports["watch"], print)

"""Commands of the hub: each trust rule with an attack on it, none acts twice, each is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from devices.documents import COMMAND_BYTES_MAX, sign
from devices.envelope import CommandResult
from edge import clock, commands
from edge.actuators import Actuators
from edge.commands import FILE_NAME, WAITING_MAX, Commands, Newest
from edge.config import GpioFile
from edge.device_commands import DeviceCommands
from edge.mqtt import end
from edge.rules import Act
from tests.edge import site
from tests.edge.site import command, until

THREADS_MAX = 32  # of asyncio's own
KEY, THIEF = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


class Desk:
    """Commands before one siren, and what was answered. `up_s`: for how long the agent has been running."""

    def __init__(self, folder: Path, up_s: float, key: Ed25519PrivateKey | None) -> None:
        self.siren = folder / "siren"
        self.answers: list[CommandResult] = []
        self.acts: list[Act] = []
        self.actuators = Actuators(
            [GpioFile(name="siren", path=str(self.siren))], lambda act, error: self.acts.append(act)
        )
        self.newest = Newest(folder / "state")
        public = key.public_key() if key is not None else None
        started_at = clock.monotonic() - up_s
        self.commands = Commands(
            public,
            "gw-test",
            actuators=self.actuators,
            devices=DeviceCommands("gw-test", {"watch:1"}, list, self.answers.append),
            answer=self.answers.append,
            newest=self.newest,
            started_at=started_at,
        )

    def offer(self, offered: bytes, late_s: float = 0.0, clock_s: float = 0.0) -> None:
        """`late_s` from now, by a wall clock that has been set by `clock_s`."""
        now = clock.now() + timedelta(seconds=late_s + clock_s)
        self.commands.offer(offered, now, clock.monotonic() + late_s)

    @property
    def moved(self) -> bool:
        return self.siren.exists() and self.siren.read_text() != ""

    @property
    def said(self) -> list[str]:
        return [answer.result for answer in self.answers]

    async def answered(self, number: int) -> None:
        await until(lambda: len(self.said) >= number, "answered")


@asynccontextmanager
async def desk(
    folder: Path, up_s: float = 60, known: bool = True, key: Ed25519PrivateKey | None = KEY
) -> AsyncIterator[Desk]:
    if known and not (folder / "state" / FILE_NAME).exists():
        site.acted_before(folder / "state")
    made = Desk(folder, up_s, key)
    running = asyncio.ensure_future(made.commands.run())
    try:
        yield made
    finally:
        await end([running])
        await asyncio.to_thread(made.actuators.close)


async def test_a_good_command_acts_and_is_confirmed_by_what_was_seen(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        with capture_logs() as logs:
            made.offer(sign(command(), KEY))
            await made.answered(2)
        assert made.said == ["accepted", "confirmed"] and made.siren.read_text() == "1"
        assert made.acts == [Act("siren", True, "command n-1", "operator")]
        assert "operator" not in str(logs), "who it was is for the record, not for the log"
        made.offer(sign(command(nonce="n-2", value="off"), KEY))
        await made.answered(4)
        assert made.siren.read_text() == "0" and made.actuators.states == {"siren": "off"}


async def test_what_cannot_be_done_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "siren").mkdir()
    async with desk(tmp_path) as made:
        made.offer(sign(command(), KEY))
        await made.answered(2)
        assert made.said == ["accepted", "refused"] and "directory" in made.answers[-1].reason
        assert made.actuators.states == {"siren": "unknown"}


ATTACKS = [
    ("signed by another", {}, THIEF, [], "signature"),
    ("for another gateway", {"gateway": "gw-2"}, KEY, [], "another gateway"),
    ("too old", {"issued_at": timedelta(seconds=-31)}, KEY, ["expired"], "expired"),
    ("expired", {"expires_at": timedelta(0)}, KEY, ["expired"], "expired"),
    ("of the future", {"issued_at": timedelta(seconds=6)}, KEY, ["expired"], "future"),
    ("unknown action", {"action": "shell.run"}, KEY, ["refused"], "unknown action"),
    ("unknown value", {"value": "open"}, KEY, ["refused"], "unknown action or value"),
    ("unknown target", {"target": "door"}, KEY, ["refused"], "no actuator door"),
    ("too large", {"actor": "x" * COMMAND_BYTES_MAX}, KEY, [], "too large"),
]


@pytest.mark.parametrize(
    ("changes", "key", "answers", "reason"), [attack[1:] for attack in ATTACKS], ids=[attack[0] for attack in ATTACKS]
)
async def test_a_command_that_breaks_a_rule_does_not_act(
    tmp_path: Path, changes: dict[str, Any], key: Ed25519PrivateKey, answers: list[str], reason: str
) -> None:
    now = clock.now()
    keys = {name: now + value if isinstance(value, timedelta) else value for name, value in changes.items()}
    async with desk(tmp_path) as made:
        with capture_logs() as logs:
            made.offer(sign(command(**keys), key))
            made.offer(sign(command(nonce="marker", value="off"), KEY))
            await made.answered(len(answers) + 2)
        assert made.said[: len(answers)] == answers and [act.on for act in made.acts] == [False]
        assert reason in str([*logs, *made.answers])


async def test_a_replayed_command_acts_once_whatever_the_clock_does(tmp_path: Path) -> None:
    offered = sign(command(), KEY)
    async with desk(tmp_path) as made:
        made.offer(offered)
        await made.answered(2)
        made.siren.write_text("0")
        for late_s, clock_s in ((0, 0), (29, 0), (71, -70), (86_400, -86_400), (1, -1)):
            made.offer(offered, late_s, clock_s)
        made.commands._used.clear()
        made.offer(offered, 71, -70)
        await asyncio.sleep(0)
        assert made.said == ["accepted", "confirmed", "expired"] and made.siren.read_text() == "0"


@pytest.mark.parametrize("clock_s", [0.0, -3.0, -86_400.0])
async def test_a_command_that_acted_does_not_act_after_a_restart(tmp_path: Path, clock_s: float) -> None:
    """The hub's clock is 4 s ahead; the edge's comes up right, or is set back by the boot."""
    offered = sign(command(issued_s_ago=-4), KEY)
    async with desk(tmp_path) as made:
        made.offer(offered)
        await made.answered(2)
    (tmp_path / "siren").write_text("0")
    async with desk(tmp_path, up_s=1) as made:
        made.offer(offered, 2.0, clock_s)
        assert made.said == ["expired"] and made.siren.read_text() == "0"


async def test_one_out_of_order_is_refused_with_the_reason(tmp_path: Path) -> None:
    first, second = command(issued_s_ago=1), command(nonce="n-2", value="off")
    async with desk(tmp_path) as made:
        made.offer(sign(second, KEY))
        made.offer(sign(first, KEY))
        await made.answered(3)
        refused = next(answer for answer in made.answers if answer.nonce == "n-1")
        assert (refused.result, refused.reason) == ("expired", "issued before a command that acted already")


async def test_a_command_from_before_the_start_is_refused(tmp_path: Path) -> None:
    async with desk(tmp_path, up_s=0) as made:
        made.offer(sign(command(issued_s_ago=1), KEY))
        assert made.said == ["refused"] and not made.moved
        made.offer(sign(command(nonce="n-2"), KEY), late_s=0.1)
        await made.answered(3)
        assert made.siren.read_text() == "1"


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"2026-11-25T01:00:00", b"\xff"])
async def test_where_nothing_is_known_of_before_the_first_seconds_are_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    """The hub's clock may be ahead: what it issued just before the start must not count as issued after it."""
    (tmp_path / "state").mkdir()
    if content is not None:
        (tmp_path / "state" / FILE_NAME).write_bytes(content)
    async with desk(tmp_path, up_s=2, known=False) as made:
        made.offer(sign(command(issued_s_ago=-2), KEY))
        assert made.said == ["refused"] and made.answers[0].reason == (
            "this gateway has just started and did nothing: give the command again in 5 s"
        )
        made.offer(sign(command(nonce="n-2"), KEY), late_s=8)
        assert made.said == ["refused"] * 2, "it is the time of its issue that counts"
        made.offer(sign(command(nonce="n-3", issued_s_ago=-4), KEY), late_s=3)
        await made.answered(4)
        assert made.said[2:] == ["accepted", "confirmed"]


@pytest.mark.parametrize("clock_s", [-10 * 365 * 86_400.0, 10 * 365 * 86_400.0])
async def test_a_box_with_a_wrong_clock_acts_on_nothing_and_on_new_ones_once_it_is_right(
    tmp_path: Path, clock_s: float
) -> None:
    async with desk(tmp_path, up_s=30) as made:
        made.offer(sign(command(), KEY), clock_s=clock_s)
        assert made.said == ["expired"] and not made.moved
        made.offer(sign(command(nonce="n-2"), KEY))
        await made.answered(3)
        assert made.siren.read_text() == "1"


async def test_a_disk_that_does_not_take_the_record_keeps_nobody_from_the_siren(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        (tmp_path / "state" / f"{FILE_NAME}.new").mkdir()
        offered = sign(command(), KEY)
        with capture_logs() as logs:
            made.offer(offered)
            await made.answered(2)
        assert made.said == ["accepted", "confirmed"] and made.siren.read_text() == "1"
        assert [line["error"] for line in logs if line["event"] == "command_not_recorded"] == ["Is a directory"]
        (tmp_path / "state" / f"{FILE_NAME}.new").rmdir()
        made.offer(sign(command(nonce="n-2", value="off"), KEY))
        await made.answered(4)
        assert datetime.fromisoformat((tmp_path / "state" / FILE_NAME).read_text()) == made.newest.issued_at


async def test_a_disk_that_hangs_delays_a_command_by_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = asyncio.Event()
    writing = asyncio.get_running_loop().create_future()

    async def hang(newest: Newest) -> str:
        writing.set_result(None)
        await go_on.wait()
        return ""

    monkeypatch.setitem(vars(commands), "RECORD_S_MAX", 0.01)
    async with desk(tmp_path) as made:
        made.newest._write = lambda: hang(made.newest)  # type: ignore[method-assign]
        made.offer(sign(command(), KEY))
        made.offer(sign(command(nonce="n-2", value="off"), KEY))
        await made.answered(4)
        assert [act.on for act in made.acts] == [True, False] and writing.done(), "and only one is writing"
        go_on.set()


async def test_links_that_hang_in_threads_keep_no_command_from_being_recorded(tmp_path: Path) -> None:
    go_on, loop = Event(), asyncio.get_running_loop()
    hanging = [loop.run_in_executor(None, go_on.wait) for _ in range(THREADS_MAX)]
    async with desk(tmp_path) as made:
        with capture_logs() as logs:
            made.offer(sign(command(), KEY))
            await made.answered(2)
        go_on.set()
        assert [line["event"] for line in logs if line["log_level"] == "error"] == []
        assert Newest(tmp_path / "state").issued_at == made.newest.issued_at
    await asyncio.gather(*hanging)


async def test_only_so_many_wait(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:
        for number in range(WAITING_MAX + 2):
            made.offer(sign(command(nonce=f"n-{number}", issued_s_ago=5 - number / 100), KEY))
        assert [answer.reason for answer in made.answers] == ["too many commands"] * 2
        await made.answered(2 + 2 * WAITING_MAX)


async def test_no_siren_waits_behind_commands_to_devices(tmp_path: Path) -> None:
    async with desk(tmp_path) as made:  # which never sends what goes to devices
        for number in range(WAITING_MAX + 2):
            asked = command(nonce=f"n-{number}", issued_s_ago=5 - number / 100, action="device.find", target="watch:1")
            made.offer(sign(msgspec.structs.replace(asked, value=""), KEY))
        assert [answer.reason for answer in made.answers] == ["too many commands"] * 2
        made.offer(sign(command(nonce="siren"), KEY))
        await made.answered(4)
        assert made.siren.read_text() == "1"


@pytest.mark.parametrize("offered", [b"", b"{}", b"\xff", b'{"content":"{}","signature":"AA=="}', b"[" * 100_000])
async def test_any_bytes_are_a_refusal(tmp_path: Path, offered: bytes) -> None:
    async with desk(tmp_path) as made:
        made.offer(offered)
        assert made.answers == []


async def test_without_a_key_nothing_acts(tmp_path: Path) -> None:
    async with desk(tmp_path, key=None) as made:
        made.offer(sign(command(), KEY))
        assert made.answers == [] and not made.moved


def test_the_newest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    site.acted_before(tmp_path)
    assert Newest(tmp_path).known and Newest(tmp_path).issued_at.tzinfo is UTC

"""What the hub sends down: each trust rule with an attack on it, documents that last, commands that are answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace
from structlog.testing import capture_logs

from devices.documents import Command, Document, Signed, sign
from devices.envelope import CommandResult
from edge import clock, downlink
from edge.actuators import Actuators
from edge.config import GpioFile
from edge.downlink import Commands, Documents, KeyUnusable, read_key
from edge.mqtt import end
from edge.rules import Act
from geofences.zones import Zones
from tests.edge.site import until

KEY, THIEF = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
GATEWAY = "gw-1"
SQUARE = {"type": "Polygon", "coordinates": [[[120, 30], [121, 30], [121, 31], [120, 31], [120, 30]]]}
INSIDE = (120.5, 30.5)


def document(version: int = 1, zone: str = "hall", **changes: Any) -> Document:
    now = clock.now()
    body = {"zones": [{"id": zone, "shape": SQUARE, "purpose": "hall", "ring": 1, "name": "a key of tomorrow"}]}
    made = Document(
        name="zones", version=version, audience="*", issued_at=now, expires_at=now + timedelta(days=1), body=body
    )
    return replace(made, **changes)


class Held:
    """Documents in a folder, and the zones in force."""

    def __init__(self, folder: Path, key: Ed25519PrivateKey | None = KEY) -> None:
        self.zones: Zones = Zones()
        public = key.public_key() if key is not None else None
        self.documents = Documents(folder, public, GATEWAY, self._use)

    def _use(self, zones: Zones) -> None:
        self.zones = zones

    @property
    def zone(self) -> str:
        return self.zones.zone_at(*INSIDE)


@asynccontextmanager
async def held(folder: Path, key: Ed25519PrivateKey | None = KEY) -> AsyncIterator[Held]:
    made = Held(folder, key)
    await made.documents.load()
    running = asyncio.ensure_future(made.documents.run())
    try:
        yield made
    finally:
        await end([running])


async def considered(made: Held, offered: bytes, name: str = "zones") -> list[str]:
    """What the log says about it."""
    with capture_logs() as logs:
        made.documents.offer(name, offered)
        made.documents.offer("zones", sign(document(10**9, "marker"), THIEF))
        await until(lambda: any("signature" in str(line.get("error")) for line in logs), "both looked at")
    return [f"{line['event']} {line.get('error') or line.get('reason') or ''}".strip() for line in logs]


# --- documents ---------------------------------------------------------------------------------------


async def test_zones_are_in_force_at_once_and_after_a_restart_expired_or_not(tmp_path: Path) -> None:
    async with held(tmp_path) as made:
        assert made.zone == ""
        made.documents.offer("zones", sign(document(3, expires_at=clock.now() + timedelta(seconds=2)), KEY))
        await until((tmp_path / "zones.json").exists, "stored")
        assert made.zone == "hall" and made.documents.versions == {"zones": 3}
    await until(lambda: clock.now() > document_expiry(tmp_path), "expired")
    async with held(tmp_path) as again:
        assert again.zone == "hall" and again.documents.versions == {"zones": 3}
        assert "not newer" in str(await considered(again, sign(document(2, "old"), KEY))), "no rollback"
        assert await considered(again, sign(document(3, "other"), KEY)) == ["document_refused signature does not fit"]
        assert again.zone == "hall"


def document_expiry(folder: Path) -> datetime:
    signed = msgspec.json.decode((folder / "zones.json").read_bytes(), type=Signed)
    return msgspec.json.decode(signed.content, type=Document).expires_at


def forged() -> bytes:
    good = msgspec.json.decode(sign(document(), KEY), type=Signed)
    return msgspec.json.encode(Signed(good.content.replace("hall", "haII"), good.signature))


ATTACKS = [
    ("signed by another", lambda: sign(document(), THIEF), "signature does not fit"),
    ("changed on the way", forged, "signature does not fit"),
    ("for another gateway", lambda: sign(document(audience="gw-2"), KEY), "meant for another gateway"),
    ("expired", lambda: sign(document(expires_at=clock.now()), KEY), "expired"),
    ("version nought", lambda: sign(document(-1), KEY), "not newer"),
    ("another document here", lambda: sign(document(name="watchlist"), KEY), "not a document of this topic"),
    ("no JSON", lambda: b"\xff{", "unreadable"),
    ("too large", lambda: b"x" * 8_000_001, "too large"),
    ("half a surrogate", lambda: b'{"content":"\\ud800","signature":""}', ""),
    ("a body of another shape", lambda: sign(document(body={"zones": [{"id": 7}]}), KEY), "zones"),
    ("no body", lambda: sign(document(body=None), KEY), "Expected"),
    ("times without a zone", lambda: sign(document(expires_at=datetime(2030, 1, 1)), KEY), "unreadable"),  # noqa: DTZ001
    (
        "a fence that never fires",
        lambda: sign(document(body={"zones": [{"id": "z", "shape": {"type": "Point"}}]}), KEY),
        "Polygon",
    ),
]


@pytest.mark.parametrize(("offered", "rule"), [attack[1:] for attack in ATTACKS], ids=[attack[0] for attack in ATTACKS])
async def test_a_document_that_breaks_a_rule_changes_nothing(tmp_path: Path, offered: Any, rule: str) -> None:
    async with held(tmp_path) as made:
        first, *_ = await considered(made, offered())
        assert first.startswith("document_refused") and rule in first
        assert made.zone == "" and made.documents.versions == {} and not list(tmp_path.iterdir())
        made.documents.offer("zones", sign(document(), KEY))
        await until(lambda: made.zone == "hall", "the next good one is taken")


async def test_documents_are_ignored_without_a_key_or_a_meaning(tmp_path: Path) -> None:
    async with held(tmp_path, None) as made:
        with capture_logs() as logs:
            made.documents.offer("zones", sign(document(), KEY))
        assert logs[0]["reason"] == "no hub_public_key_file" and made.zone == ""
    async with held(tmp_path) as made:
        said = await considered(made, sign(document(name="watchlist"), KEY), "watchlist")
        assert said[0] == "document_ignored not known to this version"
        assert await considered(made, b"") == ["document_refused signature does not fit"], "an emptied topic is nothing"


async def test_only_so_many_documents_wait(tmp_path: Path) -> None:
    made = Held(tmp_path)
    with capture_logs() as logs:
        for version in range(downlink.OFFERED_MAX + 2):
            made.documents.offer("zones", sign(document(version + 1), KEY))
    assert [line["reason"] for line in logs] == ["too many at once"] * 2


async def test_a_stored_document_that_is_damaged_is_told_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "zones.json").write_text("{")
    with capture_logs() as logs:
        async with held(tmp_path) as made:
            assert [line["event"] for line in logs] == ["document_unusable"]
            made.documents.offer("zones", sign(document(), KEY))
            await until(lambda: made.zone == "hall", "a good one is taken")


@pytest.mark.parametrize("content", [b"", b"no key", None])
def test_a_key_that_is_none_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "hub.pub"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyUnusable, match=str(path)) as refused:
        read_key(path)
    assert "\n" not in str(refused.value)


def test_only_an_ed25519_key_is_one(tmp_path: Path) -> None:
    path = tmp_path / "hub.pub"
    rsa = generate_private_key(65537, 2048).public_key()
    path.write_bytes(rsa.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(KeyUnusable, match="not an Ed25519 key"):
        read_key(path)
    path.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert read_key(path) == KEY.public_key()


# --- commands ----------------------------------------------------------------------------------------


class Desk:
    """Commands before one siren, and what was answered."""

    def __init__(self, folder: Path, started_s_ago: float = 60, key: Ed25519PrivateKey | None = KEY) -> None:
        self.siren = folder / "siren"
        self.answers: list[CommandResult] = []
        self.acts: list[Act] = []
        self.actuators = Actuators(
            [GpioFile(name="siren", path=str(self.siren))], lambda act, error: self.acts.append(act)
        )
        started = clock.now() - timedelta(seconds=started_s_ago)
        public = key.public_key() if key is not None else None
        self.commands = Commands(public, GATEWAY, self.actuators, self.answers.append, started)

    def offer(self, offered: bytes, late_s: float = 0.0) -> None:
        self.commands.offer(offered, clock.now() + timedelta(seconds=late_s), clock.monotonic() + late_s)

    @property
    def moved(self) -> bool:
        return self.siren.exists() and self.siren.read_text() != ""

    @property
    def said(self) -> list[str]:
        return [answer.result for answer in self.answers]


def command(**changes: Any) -> Command:
    now = clock.now()
    made = Command(
        gateway=GATEWAY,
        nonce="n-1",
        action="actuator.set",
        target="siren",
        value="on",
        actor="operator",
        issued_at=now,
        expires_at=now + timedelta(seconds=20),
    )
    return replace(made, **changes)


async def test_a_good_command_acts_and_is_confirmed_by_what_was_seen(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with capture_logs() as logs:
        desk.offer(sign(command(), KEY))
        await until(lambda: len(desk.said) == 2, "answered")
    assert desk.said == ["accepted", "confirmed"] and desk.siren.read_text() == "1"
    assert desk.acts == [Act("siren", True, "command n-1", "operator")]
    assert "operator" not in str(logs), "who it was is for the record, not for the log"
    desk.offer(sign(command(nonce="n-2", value="off"), KEY))
    await until(lambda: len(desk.said) == 4, "answered")
    assert desk.siren.read_text() == "0" and desk.actuators.states == {"siren": "off"}


async def test_what_cannot_be_done_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "siren").mkdir()
    desk = Desk(tmp_path)
    desk.offer(sign(command(), KEY))
    await until(lambda: len(desk.said) == 2, "answered")
    assert desk.said == ["accepted", "refused"] and "directory" in desk.answers[-1].reason
    assert desk.actuators.states == {"siren": "unknown"}


COMMAND_ATTACKS = [
    ("signed by another", {}, THIEF, [], "signature"),
    ("for another gateway", {"gateway": "gw-2"}, KEY, [], "another gateway"),
    ("too old", {"issued_at": timedelta(seconds=-31)}, KEY, ["expired"], "expired"),
    ("expired", {"expires_at": timedelta(0)}, KEY, ["expired"], "expired"),
    ("of the future", {"issued_at": timedelta(seconds=6)}, KEY, ["expired"], "future"),
    ("unknown action", {"action": "shell.run"}, KEY, ["refused"], "unknown action"),
    ("unknown value", {"value": "open"}, KEY, ["refused"], "unknown action or value"),
    ("unknown target", {"target": "door"}, KEY, ["refused"], "no actuator door"),
]


@pytest.mark.parametrize(
    ("changes", "key", "answers", "reason"),
    [attack[1:] for attack in COMMAND_ATTACKS],
    ids=[attack[0] for attack in COMMAND_ATTACKS],
)
async def test_a_command_that_breaks_a_rule_does_not_act(
    tmp_path: Path, changes: dict[str, Any], key: Ed25519PrivateKey, answers: list[str], reason: str
) -> None:
    desk = Desk(tmp_path)
    moved = {name: clock.now() + value if isinstance(value, timedelta) else value for name, value in changes.items()}
    with capture_logs() as logs:
        desk.offer(sign(command(**moved), key))
        await asyncio.sleep(0)
    assert desk.said == answers and not desk.moved and desk.acts == []
    assert reason in str([*logs, *desk.answers])


async def test_a_replayed_command_acts_once_even_when_the_clock_jumps(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    offered = sign(command(), KEY)
    desk.offer(offered)
    await until(lambda: len(desk.said) == 2, "answered")
    desk.siren.write_text("0")
    desk.offer(offered)
    desk.offer(offered, late_s=29)
    desk.commands.offer(
        sign(command(nonce="n-2", target="door"), KEY), clock.now() + timedelta(days=1), clock.monotonic()
    )
    desk.offer(offered)
    assert desk.siren.read_text() == "0" and desk.said == ["accepted", "confirmed", "expired"]


async def test_a_command_from_before_the_start_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, started_s_ago=0)
    desk.offer(sign(command(issued_at=clock.now() - timedelta(seconds=1)), KEY))
    assert desk.said == ["refused"] and not desk.moved


async def test_the_memory_of_nonces_is_bounded_and_forgets_what_is_past(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    at = clock.monotonic()
    desk.commands._used = {str(number): at for number in range(downlink.NONCES_MAX)}
    desk.offer(sign(command(), KEY))
    assert desk.said == ["refused"] and desk.answers[0].reason == "too many commands"
    desk.commands._used = {str(number): at - downlink.NONCE_S - 1 for number in range(downlink.NONCES_MAX)}
    desk.offer(sign(command(), KEY))
    await until(lambda: len(desk.said) == 3, "answered")
    assert len(desk.commands._used) == 1


@pytest.mark.parametrize("offered", [b"", b"{}", b"\xff", b'{"content":"{}","signature":"AA=="}', b"[" * 100_000])
async def test_any_bytes_are_a_refusal(tmp_path: Path, offered: bytes) -> None:
    desk = Desk(tmp_path)
    desk.offer(offered)
    assert desk.answers == []


async def test_without_a_key_nothing_acts(tmp_path: Path) -> None:
    desk = Desk(tmp_path, key=None)
    desk.offer(sign(command(), KEY))
    assert desk.answers == [] and not desk.moved

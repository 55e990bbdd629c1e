"""Documents of the hub: each trust rule with an attack on it, and documents that last."""

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

from devices.documents import Document, Signed, sign
from edge import clock, downlink
from edge.downlink import Documents, KeyUnusable, Reader, read_key, read_zones
from edge.fences import Drawn
from edge.mqtt import end
from geofences.cells import Cells
from geofences.plan import Plan
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


def _words(document: Document) -> list[str]:
    return msgspec.convert(document.body, list[str])


class Held:
    """Documents in a folder, the zones in force, and a second kind of document."""

    def __init__(self, folder: Path, key: Ed25519PrivateKey | None = KEY) -> None:
        self.zones = Drawn(Plan(Cells(()), {}, 0))
        public = key.public_key() if key is not None else None
        self.words: list[str] = []
        self.changes = 0
        readers: dict[str, Reader[Any]] = {"zones": Reader(read_zones, self._use), "words": Reader(_words, self._say)}
        self.documents = Documents(folder, public, GATEWAY, readers, self._changed)

    def _say(self, words: list[str]) -> None:
        self.words = words

    def _changed(self) -> None:
        self.changes += 1

    def _use(self, zones: Drawn) -> None:
        self.zones = zones

    @property
    def zone(self) -> str:
        return self.zones.plan.zone_at(*INSIDE)


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


async def test_each_name_has_its_own_reader_version_and_file(tmp_path: Path) -> None:
    async with held(tmp_path) as made:
        made.documents.offer("zones", sign(document(7), KEY))
        made.documents.offer("words", sign(document(2, name="words", body=["one"]), KEY))
        await until(lambda: made.changes == 2, "both in force, and told")
        assert made.zone == "hall" and made.words == ["one"] and made.documents.versions == {"zones": 7, "words": 2}
        made.documents.offer("words", sign(document(8), KEY))
        made.documents.offer("words", sign(document(3, name="words", body=["two"]), KEY))
        await until(lambda: made.words == ["two"], "a document on the topic of another is passed over")
        assert made.documents.versions == {"zones": 7, "words": 3}
    async with held(tmp_path) as again:
        assert again.zone == "hall" and again.words == ["two"] and again.changes == 0


async def test_a_full_queue_of_one_name_holds_up_no_other(tmp_path: Path) -> None:
    made = Held(tmp_path)
    for version in range(downlink.OFFERED_MAX + 1):
        made.documents.offer("zones", sign(document(version + 1), KEY))
    with capture_logs() as logs:
        made.documents.offer("words", sign(document(name="words", body=[]), KEY))
    assert not logs


async def test_who_holds_another_key_is_told_what_to_do(tmp_path: Path) -> None:
    async with held(tmp_path) as made:
        with capture_logs() as logs:
            made.documents.offer("zones", sign(document(), THIEF))
            await until(lambda: bool(logs), "looked at")
    assert "copy its hub.pub to hub_public_key_file again" in logs[0]["advice"]


def document_expiry(folder: Path) -> datetime:
    signed = msgspec.json.decode((folder / "zones.json").read_bytes(), type=Signed)
    return msgspec.json.decode(signed.content, type=Document).expires_at


def forged() -> bytes:
    good = msgspec.json.decode(sign(document(), KEY), type=Signed)
    return msgspec.json.encode(Signed(good.content.replace("hall", "haII"), good.signature))


ESCORT = {"id": "escort", "carriers": ["gb:1"], "radius_m": 50}
MEETING = {"id": "escort", "one": ["gb:1"], "other": ["*"], "metres": 50}
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
    (
        "a moving zone and a meeting with one name",
        lambda: sign(document(body={"zones": [], "moving": [ESCORT], "proximity": [MEETING]}), KEY),
        "escort is given twice",
    ),
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
        assert made.documents.refused == {"zones": "signature does not fit"}, "of the marker, which came last"
        made.documents.offer("zones", sign(document(), KEY))
        await until(lambda: made.zone == "hall", "the next good one is taken")
        assert made.documents.refused == {}


async def test_newest_that_is_refused_is_said_and_an_older_one_is_no_reason_to(tmp_path: Path) -> None:
    async with held(tmp_path) as made:
        made.documents.offer("zones", sign(document(5), KEY))
        await until(lambda: made.zone == "hall", "taken")
        made.documents.offer("zones", sign(document(4), KEY))
        made.documents.offer("words", sign(document(6, name="words", body={"x": 1}), KEY))
        made.documents.offer("zones", sign(document(6, body={"zones": [{"id": 7}]}), KEY))
        await until(lambda: len(made.documents.refused) == 2, "both are said")
        assert "id" in made.documents.refused["zones"] and made.documents.versions == {"zones": 5}


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

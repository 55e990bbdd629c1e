"""Evidence packs: what is in one, that every change to one is found, and the check of the whole log."""

import json
import random
import zipfile
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devices.observation import Observation, Position
from hub import seals
from hub.evidence import LogFault, NoIncident, first_fault, make_pack
from hub.evidence_pack import EvidenceWrong, verify_pack, write_pack
from tests.hub.api_world import BAND, NOON, World, alarm, problem, world
from tests.hub.test_api_incidents import walk

EDITS = 10_000


@pytest.fixture
async def hub(postgres: str):
    async with world(postgres) as found:
        yield found


def at(seconds: float) -> Observation:
    when = NOON + timedelta(seconds=seconds)
    body = Position(longitude=120.48 + seconds / 1e6, latitude=30.74)
    return Observation(device=BAND, observed_at=when, received_at=when, body=body)


async def closed_sos(hub: World) -> int:
    """A person's incident, worked to its end, with a track."""
    await hub.observe(at(-1200), *(at(second) for second in range(0, 30, 10)), now=NOON)
    [view] = await hub.observe(alarm("sos", device=BAND), now=NOON)
    await hub.observe(alarm("sos", device=BAND, raised=False, at=NOON + timedelta(seconds=20)), now=NOON)
    async with hub.client() as client:
        await walk(client, view["incident"], "acknowledge", "dispatch", "arrive", "resolve", "close")
    return int(view["incident"])


def files(pack: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(pack)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def test_a_pack_says_who_did_what_when_and_is_right(hub: World) -> None:
    number = await closed_sos(hub)
    pack = await make_pack(hub.store, hub.key, number, "operator", NOON)
    checked = verify_pack(pack, hub.key.public_key().public_bytes_raw())
    assert (checked.steps, checked.sealed, checked.manifest.incident) == (7, 7, number)
    found = files(pack)
    steps = [json.loads(line) for line in found["steps.jsonl"].splitlines()]
    assert [step["action"] for step in steps] == "raise clear acknowledge dispatch arrive resolve close".split()
    (raised, cleared) = [json.loads(line) for line in found["alarms.jsonl"].splitlines()]
    assert {"observed_at", "received_at", "committed_at", "seen_at"} < raised.keys()
    assert (raised["raised"], cleared["raised"]) == (True, False)
    (track,) = json.loads(found["tracks.geojson"])["features"]
    assert len(track["geometry"]["coordinates"]) == 3  # what was long before is not in it
    assert json.loads(found["incident.json"])["left_out"] == {"alarms": False, "positions": False}
    assert json.loads(found["versions.json"])["gateways"][0]["gateway"] == "gw-1"


async def test_the_same_incident_gives_the_same_pack(hub: World) -> None:
    number = await closed_sos(hub)
    packs = [await make_pack(hub.store, hub.key, number, "operator", NOON) for _ in range(2)]
    assert packs[0] == packs[1]


async def test_ten_thousand_edits_of_a_pack_are_found(hub: World) -> None:
    chance = random.Random(20261125)
    pack = await make_pack(hub.store, hub.key, await closed_sos(hub), "operator", NOON)
    for _ in range(EDITS):
        place, changed = chance.randrange(len(pack)), bytearray(pack)
        match chance.randrange(3):
            case 0:
                changed[place] ^= 1 << chance.randrange(8)
            case 1:
                del changed[place]
            case 2:
                changed.insert(place, chance.randrange(256))
        if changed != pack:
            with pytest.raises(EvidenceWrong):
                verify_pack(bytes(changed))


async def test_the_first_bad_step_is_named(hub: World) -> None:
    pack = await make_pack(hub.store, hub.key, await closed_sos(hub), "operator", NOON)
    held = files(pack)
    lines = held["steps.jsonl"].splitlines(keepends=True)
    held["steps.jsonl"] = b"".join([*lines[:3], lines[3].replace(b"dispatch", b"despatch"), *lines[4:]])
    with pytest.raises(EvidenceWrong, match=r"steps.jsonl: step 4: it does not fit its hash"):
        verify_pack(repacked(held))
    held["steps.jsonl"] = b"".join(lines[:5])
    with pytest.raises(EvidenceWrong, match=r"step 6: it is missing: 7 steps were sealed, in seal 1"):
        verify_pack(repacked(held))


@pytest.mark.parametrize("name", ["alarms.jsonl", "tracks.geojson", "versions.json", "README.txt", "incident.json"])
async def test_the_changed_file_is_named(hub: World, name: str) -> None:
    held = files(await make_pack(hub.store, hub.key, await closed_sos(hub), "operator", NOON))
    with pytest.raises(EvidenceWrong, match=f"{name} was changed"):
        verify_pack(repacked({**held, name: held[name] + b" "}))
    with pytest.raises(EvidenceWrong, match=f"{name} is missing"):
        verify_pack(repacked({other: content for other, content in held.items() if other != name}))
    with pytest.raises(EvidenceWrong, match=r"photo.jpg was added"):
        verify_pack(repacked({**held, "photo.jpg": b""}))


async def test_a_pack_that_somebody_else_signed_is_not_the_hubs(hub: World) -> None:
    held = files(await make_pack(hub.store, hub.key, await closed_sos(hub), "operator", NOON))
    own = {name: content for name, content in held.items() if not name.startswith("manifest")}
    forged = write_pack(own, 1, Ed25519PrivateKey.generate(), NOON, "operator")
    with pytest.raises(EvidenceWrong, match="another hub"):
        verify_pack(forged, hub.key.public_key().public_bytes_raw())


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"no zip at all", write_pack({}, 1, Ed25519PrivateKey.generate(), NOON, "x")[:40]]
)
def test_what_is_no_pack_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceWrong):
        verify_pack(data)


@pytest.mark.parametrize("method", [8, 12, 14, 99])
def test_a_file_that_claims_to_be_compressed_is_refused(method: int) -> None:
    """What is stored would be unpacked: whatever comes of that, a pack never is compressed."""
    pack = write_pack({"README.txt": b"hello"}, 1, Ed25519PrivateKey.generate(), NOON, "x")
    entry = pack.index(b"PK\x01\x02")  # of the ZIP's directory
    changed = pack[: entry + 10] + method.to_bytes(2, "little") + pack[entry + 12 :]
    with pytest.raises(EvidenceWrong, match=r"README.txt is compressed"):
        verify_pack(changed)


async def test_there_must_be_such_an_incident(hub: World) -> None:
    with pytest.raises(NoIncident):
        await make_pack(hub.store, hub.key, 10**12, "operator", NOON)


def repacked(held: dict[str, bytes]) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in held.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return made.getvalue()


# --- the whole log -------------------------------------------------------------------------------

REWRITES = {
    "UPDATE incident_steps SET cause = 'nothing' WHERE incident = {0} AND number = 3": (0, 3),
    "DELETE FROM incident_steps WHERE incident = {0} AND number = 5": (0, 5),
    "DELETE FROM incident_steps WHERE incident = {0} AND number > 5": (0, 6),
    "DELETE FROM incident_steps WHERE incident = {1}": (1, 1),
    "UPDATE step_seals SET content = replace(content, '2026', '2025')": (None, 1),
    "DELETE FROM step_seals WHERE number = 1": (None, 1),
}


@pytest.mark.parametrize("text", REWRITES)
async def test_what_is_rewritten_in_the_database_is_found(hub: World, text: str) -> None:
    numbers = [await closed_sos(hub)]
    assert await seals.seal_all(hub.store, hub.key, NOON) == 1
    numbers.append(await hub.smoke())
    assert await seals.seal_all(hub.store, hub.key, NOON) == 1
    assert await seals.seal_all(hub.store, hub.key, NOON) == 0
    trusted = [hub.key.public_key().public_bytes_raw()]
    assert await first_fault(hub.store, trusted) is None
    await forced(hub, text.format(*numbers))
    which, number = REWRITES[text]
    fault = await first_fault(hub.store, trusted)
    assert isinstance(fault, LogFault)
    assert (fault.incident, fault.number) == (0 if which is None else numbers[which], number)


async def forced(hub: World, text: str) -> None:
    """As somebody who owns the database would."""
    async with hub.store.transaction() as tx:
        await tx.script(f"SET LOCAL session_replication_role = replica; {text}")


async def test_a_log_that_grows_is_sealed_again(hub: World) -> None:
    number = await hub.smoke()
    await seals.seal_all(hub.store, hub.key, NOON)
    await hub.smoke("2", NOON + timedelta(minutes=1))
    assert await seals.seal_all(hub.store, hub.key, NOON) == 1
    pack = await make_pack(hub.store, hub.key, number, "operator", NOON)
    assert verify_pack(pack).sealed == 2
    assert len(files(pack)["seals.jsonl"].splitlines()) == 2


# --- through the API -----------------------------------------------------------------------------


async def test_the_api_hands_the_pack_out(hub: World, tmp_path: Path) -> None:
    number = await closed_sos(hub)
    async with hub.client() as client:
        answer = await client.get(f"/api/v1/incidents/{number}/evidence")
        assert answer.headers["content-type"] == "application/zip"
        assert f'filename="incident-{number}-evidence.zip"' in answer.headers["content-disposition"]
        checked = verify_pack(answer.content, hub.key.public_key().public_bytes_raw())
        assert checked.manifest.made_by == "operator"
        problem(await client.get(f"/api/v1/incidents/{number + 99}/evidence"), 404)

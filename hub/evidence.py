"""An incident's evidence pack, and a check of the whole log, from the database. What a pack is: hub.evidence_pack."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from hub.chain import Entry, Sealed, fault_against, fault_in_seals, fault_in_steps, heads_of
from hub.evidence_pack import SEALS, STEPS, Line, write_pack
from hub.incident_view import incident_views
from hub.seals import seal_all, seal_of
from hub.store import Row, Store, Transaction

ALARMS_MAX = 100_000
POSITIONS_MAX = 200_000
BEFORE = timedelta(minutes=15)  # of the first alarm: where everybody came from
README = """Evidence of one incident, written by Gridward.

Check it:            gridward evidence --verify FILE --key hub.pub
By hand:             each file's SHA-256 stands in manifest.json; manifest.sig is the Ed25519 signature (hexadecimal)
                     of manifest.json. The hash of a step is SHA-256 of the hash before it (32 zero bytes before the
                     first) followed by the step as JSON with sorted keys, no blanks and without its hash.
hub.pub must come from the hub itself, not from whoever gave you this file.
"""


class NoIncident(Exception):
    """There is no incident of that number."""


class LogFault(Struct, frozen=True):
    """The first bad entry of a log. `incident` 0: of the seals themselves."""

    incident: int
    number: int
    why: str


async def make_pack(store: Store, key: Ed25519PrivateKey, incident: int, by: str, now: datetime) -> bytes:
    """The ZIP, after everything in it has been sealed. Raises NoIncident, StoreError."""
    await seal_all(store, key, now)
    async with store.transaction() as tx:
        views = await incident_views(tx, [incident])
        if not views:
            raise NoIncident(f"there is no incident {incident}")
        files = await _files(tx, views[0])
    return write_pack(files, incident, key, now, by)


async def _files(tx: Transaction, view: dict[str, Any]) -> dict[str, bytes]:
    incident = view["incident"]
    steps = await tx.rows("steps_hashed", incident=incident)
    seals = await tx.rows("seals_of_incident", incident=incident)
    alarms = await tx.rows("incident_alarms", incident=incident, limit=ALARMS_MAX + 1)
    for alarm in alarms:
        del alarm["through"]
    devices = sorted({alarm["device"] for alarm in alarms} | {view["subject"]} - {""})
    ends = [step["at"] for step in steps] + [alarm["observed_at"] for alarm in alarms]
    start = datetime.fromisoformat(view["opened_at"]) - BEFORE
    window = {"start": start, "end": max(ends, default=start) + timedelta(seconds=1)}
    positions = await tx.rows("evidence_positions", devices=devices, limit=POSITIONS_MAX + 1, **window)
    left_out = {"alarms": len(alarms) > ALARMS_MAX, "positions": len(positions) > POSITIONS_MAX}
    return {
        "README.txt": README.encode(),
        "incident.json": msgspec.json.format(msgspec.json.encode({**view, "left_out": left_out})),
        STEPS: _json_lines(_line(step) for step in steps),
        SEALS: _json_lines(map(seal_of, seals)),
        "alarms.jsonl": _json_lines(reversed(alarms[:ALARMS_MAX])),
        "tracks.geojson": msgspec.json.encode(_tracks(positions[:POSITIONS_MAX])),
        "versions.json": msgspec.json.format(msgspec.json.encode(await _versions(tx, view["site"]))),
    }


async def _versions(tx: Transaction, site: str | None) -> dict[str, Any]:
    documents = await tx.rows("evidence_documents", site=site)
    for document in documents:
        document["body_sha256"] = document["body_sha256"].hex()
    return {"documents": documents, "gateways": await tx.rows("evidence_gateways", site=site)}


def _tracks(positions: Sequence[Row]) -> dict[str, Any]:
    """RFC 7946: a line a device, or a point where there is one fix; the times beside it."""
    tracks: dict[str, list[Row]] = {}
    for position in positions:
        tracks.setdefault(position["device"], []).append(position)
    return {"type": "FeatureCollection", "features": [_feature(name, fixes) for name, fixes in tracks.items()]}


def _feature(device: str, fixes: list[Row]) -> dict[str, Any]:
    places = [[fix["longitude"], fix["latitude"]] for fix in fixes]
    line = len(places) > 1
    geometry = {"type": "LineString" if line else "Point", "coordinates": places if line else places[0]}
    properties = {"device": device, "observed_at": [fix["observed_at"] for fix in fixes]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


async def first_fault(store: Store, trusted: Iterable[bytes]) -> LogFault | None:
    """Reads every seal and the log of every incident; the first that is wrong. Raises StoreError."""
    async with store.transaction() as tx:
        seals = [seal_of(row) for row in await tx.rows("seals_all")]
        if fault := fault_in_seals(seals, trusted):
            return LogFault(0, fault.number, fault.why)
        newest = {head.incident: head for signed in seals for head in heads_of(signed)}
        async for incident in _incidents(tx):
            steps = [_hashed(step) for step in await tx.rows("steps_hashed", incident=incident)]
            sealed = newest.pop(incident, Sealed(incident, 0, ""))
            if fault := fault_in_steps(incident, steps) or fault_against(sealed, steps):
                return LogFault(incident, fault.number, fault.why)
    for gone in newest.values():
        return LogFault(gone.incident, 1, f"the incident is missing: {gone.number} steps were sealed")
    return None


async def _incidents(tx: Transaction) -> AsyncIterator[int]:
    last = 0
    while rows := await tx.rows("incidents_after", incident=last):
        for row in rows:
            yield row["incident"]
        last = rows[-1]["incident"]


def _line(row: Row) -> Line:
    return Line(**{**row, "hash": row["hash"].hex()})


def _hashed(row: Row) -> tuple[Entry, bytes]:
    return Entry(**{name: row[name] for name in Entry.__struct_fields__}), row["hash"]


def _json_lines(values: Iterable[Any]) -> bytes:
    return b"".join(msgspec.json.encode(value) + b"\n" for value in values)

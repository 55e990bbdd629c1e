"""What one transaction does with parcels of one lane: cursors locked, what was seen skipped, the rest stored, the
cursors moved. Everything or nothing; the caller commits, and tells others only then.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from devices.envelope import Lane
from hub.copy_rows import (
    HEADER,
    TRAILER,
    EventRow,
    Latest,
    Placed,
    Series,
    double_array,
    micros,
    pack_events,
    real_array,
    text_array,
    time_array,
)
from hub.cursor import take
from hub.incident_view import incident_views
from hub.ingest_alarms import TICK, Changes, event_row, incidents_of, place_alarms
from hub.outbox import notices
from hub.parcel import Parcel, Unreadable
from hub.store import Row, Transaction, jsonb

Spool = tuple[str, str]  # gateway, epoch


class Stored(Struct):
    """What was done. `committed`: seq of every spool that sent something, also when nothing of it was new."""

    committed: dict[Spool, int] = field(default_factory=dict)
    refused: list[Parcel] = field(default_factory=list)  # stood beyond a hole that they did not declare
    rows: int = 0
    values: int = 0  # rows of telemetry: one per metric
    skipped: int = 0  # seen before
    unreadable: int = 0
    notices: int = 0
    unsure: bool = False  # an attempt before this one may have been committed, and nobody heard of it
    latest: Latest = field(default_factory=Latest)
    moved: list[Placed] = field(default_factory=list)  # positions newer than what was held
    incidents: list[dict[str, Any]] = field(default_factory=list)
    devices: list[Row] = field(default_factory=list)


async def store_parcels(
    tx: Transaction, lane: Lane, parcels: Sequence[Parcel], urls: Sequence[str], now: datetime
) -> Stored:
    """Store what is new of `parcels`, in their order. `urls`: who is told of incidents."""
    stored = Stored(committed=await _lock_cursors(tx, lane, parcels))
    held = dict(stored.committed)
    fresh, seen, gaps = _cut(stored, parcels)
    if gaps:
        await tx.execute("gaps_declare", lane=lane, now=now, **_columns(gaps, "gateways", "epochs", "firsts", "lasts"))
    await _store_unreadable(tx, lane, fresh, stored)
    await _store_series(tx, [parcel.series for parcel in fresh], stored)
    events = await _events(tx, fresh, now)
    if events:
        await _store_events(tx, events, stored, urls, now)
    if seen and lane == "urgent":
        await _tell_again(tx, await _events(tx, seen, now), stored)
    moved = [(*spool, seq) for spool, seq in stored.committed.items() if seq != held[spool]]
    if moved:
        await tx.execute("cursors_advance", lane=lane, now=now, **_columns(moved, "gateways", "epochs", "seqs"))
    return stored


async def _lock_cursors(tx: Transaction, lane: Lane, parcels: Iterable[Parcel]) -> dict[Spool, int]:
    """In one order, so that two hubs cannot wait for each other."""
    spools = sorted({parcel.spool for parcel in parcels})
    wanted = {"lane": lane, **_columns(spools, "gateways", "epochs")}
    rows = await tx.rows("cursors_lock", **wanted)
    if len(rows) < len(spools):
        await tx.execute("cursors_make", **wanted)
        rows = await tx.rows("cursors_lock", **wanted)
    return {(row["gateway"], row["epoch"]): row["committed_seq"] for row in rows}


def _cut(
    stored: Stored, parcels: Iterable[Parcel]
) -> tuple[list[Parcel], list[Parcel], list[tuple[str, str, int, int]]]:
    """What is new of each parcel, what was seen before, and the gaps declared; moves `stored.committed`."""
    fresh: list[Parcel] = []
    seen: list[Parcel] = []
    gaps: list[tuple[str, str, int, int]] = []
    for parcel in parcels:
        taken = take(stored.committed[parcel.spool], parcel.seqs, parcel.dropped_through)
        stored.committed[parcel.spool] = taken.committed
        gaps += [(*parcel.spool, first, last) for first, last in taken.gaps]
        stored.skipped += taken.first
        stored.rows += taken.beyond - taken.first
        if taken.first:
            seen.append(parcel.part(0, taken.first))
        if taken.refused:
            stored.refused.append(parcel)
        if taken.beyond > taken.first:
            fresh.append(parcel.part(taken.first, taken.beyond))
    return fresh, seen, gaps


async def _store_unreadable(tx: Transaction, lane: Lane, parcels: Iterable[Parcel], stored: Stored) -> None:
    for parcel in parcels:
        for row in parcel.unreadable:
            await _set_aside(tx, lane, parcel, row)
        stored.unreadable += len(parcel.unreadable)


async def _set_aside(tx: Transaction, lane: Lane, parcel: Parcel, row: Unreadable) -> None:
    await tx.execute(
        "row_refused",
        gateway=parcel.gateway,
        epoch=parcel.epoch,
        lane=lane,
        seq=row.seq,
        observation=row.observation,
        error=row.error.replace("\0", ""),
    )


async def _store_series(tx: Transaction, packed: Sequence[Series], stored: Stored) -> None:
    stored.latest = newest = _newest([series.latest for series in packed])
    stored.values = sum(series.telemetry_rows for series in packed)
    if newest.values:
        await tx.copy("telemetry_copy", HEADER, *[series.telemetry for series in packed], TRAILER)
        await _upsert_values(tx, newest)
    if newest.positions:
        await tx.copy("positions_copy", HEADER, *[series.positions for series in packed], TRAILER)
        stored.moved = await _upsert_positions(tx, newest)


def _newest(found: Sequence[Latest]) -> Latest:
    """One parcel's, or the newest of all."""
    if len(found) == 1:
        return found[0]
    newest = Latest()
    values, positions, seen = newest.values, newest.positions, newest.seen
    for latest in found:
        for series, value in latest.values.items():
            if value >= values.setdefault(series, value):
                values[series] = value
        for device, position in latest.positions.items():
            if positions.setdefault(device, position).at <= position.at:
                positions[device] = position
        for device, at in latest.seen.items():
            if seen.setdefault(device, at) < at:
                seen[device] = at
    return newest


async def _upsert_values(tx: Transaction, newest: Latest) -> None:
    """Sorted, so that two transactions take the rows in one order."""
    series = sorted(newest.values)
    found = [newest.values[names] for names in series]
    await tx.execute(
        "latest_values_upsert",
        devices=text_array([device for device, _, _ in series]),
        metrics=text_array([metric for _, metric, _ in series]),
        components=text_array([component for _, _, component in series]),
        times=time_array([observed for observed, _ in found]),
        values=double_array([value for _, value in found]),
    )


async def _upsert_positions(tx: Transaction, newest: Latest) -> list[Placed]:
    """Those that were newer than what was held: a late one is stored and not shown."""
    found = [place for _, place in sorted(newest.positions.items())]
    rows = await tx.rows(
        "latest_positions_upsert",
        devices=text_array([place.device for place in found]),
        observed=time_array([micros(place.observed_at) for place in found]),
        received=time_array([micros(place.received_at) for place in found]),
        longitudes=double_array([place.longitude for place in found]),
        latitudes=double_array([place.latitude for place in found]),
        accuracies=real_array([place.accuracy_m for place in found]),
        speeds=real_array([place.speed_kmh for place in found]),
        courses=real_array([place.course_deg for place in found]),
        fixes=text_array([place.fix for place in found]),
        zones=text_array([place.zone for place in found]),
    )
    return [newest.positions[row["device"]] for row in rows]


async def _events(tx: Transaction, parcels: Iterable[Parcel], now: datetime) -> list[EventRow]:
    found = [(parcel, *row) for parcel in parcels for row in parcel.series.events]
    if not found:
        return []
    gateways = sorted({parcel.gateway for parcel, _, _ in found})
    slow = {row["gateway"]: row["slow_s"] for row in await tx.rows("gateways_slow", gateways=gateways)}
    rows = (
        event_row(parcel.gateway, parcel.epoch, seq, observation, now, slow.get(parcel.gateway, 0.0))
        for parcel, seq, observation in found
    )
    return [row for row in rows if row is not None]


async def _store_events(
    tx: Transaction, events: list[EventRow], stored: Stored, urls: Sequence[str], now: datetime
) -> None:
    """Alarms and events: what they do first, so that each row is stored with its incident.

    An alarm is newer than all that its incident had to show. `now` is from before the wait for other hubs, and perhaps
    from a slower clock than theirs: with that, a look at what was there would count as one at this alarm.
    """
    where, changes = await place_alarms(tx, events, now)
    shown = await tx.rows("incidents_shown", incidents=sorted(set(where.values()))) if where else []
    at = changes.at or now
    soonest = {row["incident"]: max(at, row["through"] + TICK) for row in shown}
    rows = [
        replace(event, incident=where.get(index), committed_at=soonest.get(where.get(index, 0), at))
        for index, event in enumerate(events)
    ]
    await tx.copy("events_copy", HEADER, b"".join(pack_events(rows)), TRAILER)
    await _tell(tx, events, changes, stored, urls, now)


async def _tell(  # noqa: PLR0917
    tx: Transaction, events: list[EventRow], changes: Changes, stored: Stored, urls: Sequence[str], now: datetime
) -> None:
    """What people hear of it, as it stands at the end of this transaction."""
    if changes.incidents:
        stored.incidents = await incident_views(tx, changes.incidents)
    alarming = sorted({event.device for event in events if event.raised is not None})
    if alarming:
        stored.devices = await tx.rows("device_alarms", devices=alarming)
    for body in notices(changes.notices, stored.incidents, urls):
        await tx.execute("outbox_add", channel="notify", body=jsonb(body), now=now)
        stored.notices += 1


async def _tell_again(tx: Transaction, events: list[EventRow], stored: Stored) -> None:
    """Alarms that were seen before: perhaps by another hub, and then nobody who watches at this one has heard of it."""
    alarms = [event for event in events if event.raised is not None]
    if not alarms:
        return
    told = {view["incident"] for view in stored.incidents}
    stored.incidents += await incident_views(tx, sorted(await incidents_of(tx, alarms) - told))
    devices = {event.device for event in alarms} - {row["device"] for row in stored.devices}
    stored.devices += await tx.rows("device_alarms", devices=sorted(devices))


def _columns(rows: Sequence[tuple[Any, ...]], *names: str) -> dict[str, list[Any]]:
    """Rows as one array per column, for `unnest`."""
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}

"""Devices that report to the hub itself (phones, integrators): it evaluates their zones, as an edge does for its own.

Rules
- The engine is the edges': geofences.late, one track a device. Its state, the position and what it told are one
  transaction, so that nothing is told twice or lost whatever ends in between.
- They are stored by the way of every other report (hub.ingest_commit), under a gateway and an epoch of our own.
- A report that is older than the newest one of its device is stored, and tells nothing.
- A device that belongs to a gateway reports through that, and not here: two would tell of it twice.
- What time alone brings (dwelt, lost …) is told within DUE_EVERY_S.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import inf

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from devices.envelope import Batch, Lane, encode, topic
from devices.observation import DeviceId, GatewayId, Observation, Position, ZoneId
from devices.zone_event import zone_event
from geofences.cells import Cells
from geofences.late import taken
from geofences.plan import Plan
from geofences.rules import Rules
from geofences.step import carried, checked, until
from geofences.track import Crossing, Track, attributes_of, fix_of, kept, read
from geofences.zones import zone
from hub import clock
from hub.ingest_commit import Stored, store_parcels
from hub.parcel import open_parcel
from hub.store import Store, StoreError, Transaction

GATEWAY = GatewayId("hub-itself")
EPOCH = "reported"
DUE_EVERY_S = 5.0
DUE_MAX = 500  # tracks at once
PLANS_MAX = 16

log = structlog.get_logger()


class CannotReport(Exception):
    """The text says why."""


class UnknownDevice(CannotReport):
    """There is no such device."""


class Report(Struct, frozen=True):
    """Where a device was; nobody is in the future."""

    observed_at: datetime
    position: Position


class Reported:
    """`tell` hears what was stored, after the commit."""

    def __init__(self, store: Store, tell: Callable[[Stored], None], urls: Sequence[str] = ()) -> None:
        self._store, self._tell, self._urls = store, tell, urls
        self._plans: dict[str, tuple[int, Plan]] = {}

    async def report(self, device: str, reports: Sequence[Report], now: datetime) -> list[Crossing]:
        """What these come to. Raises CannotReport, NotAFix, StoreError."""
        async with self._store.transaction() as tx:
            known = await tx.row("device_reports", device=device)
            if known is None:
                raise UnknownDevice(f"there is no device {device}")
            if known["gateway"]:
                raise CannotReport(f"{device} belongs to gateway {known['gateway']}: it reports through that")
            plan = await self._plan(tx, known["site"])
            row = await tx.one("hub_track_lock", device=device)
            track, told = _carried(row["track"], plan, now)
            for each in sorted(reports, key=lambda one: one.observed_at):
                track, more = taken(track, checked(fix_of(min(each.observed_at, now).timestamp(), each.position)), plan)
                told += more
            await _put(tx, device, track, plan)
            positions = [_position(device, each, plan, now) for each in reports]
            stored = [await self._stored(tx, "routine", positions, now)]
            stored += [await self._stored(tx, "urgent", _events(device, told, now), now)] if told else []
        for each_stored in stored:
            self._tell(each_stored)
        return told

    async def run(self) -> None:
        """Tell what comes due, for ever."""
        while True:
            await clock.sleep(DUE_EVERY_S)
            try:
                while await self.due(clock.now()) == DUE_MAX:
                    pass
            except StoreError:
                continue  # the store has said it

    async def due(self, now: datetime) -> int:
        """How many tracks were looked at. Raises StoreError."""
        async with self._store.transaction() as tx:
            rows = await tx.rows("hub_tracks_due", now=now, limit=DUE_MAX)
            events: list[Observation] = []
            for row in rows:
                plan = await self._plan(tx, row["site"])
                track, told = _carried(row["track"], plan, now)
                track, more = until(track, now.timestamp(), plan)
                await _put(tx, row["device"], track, plan)
                events += _events(row["device"], (*told, *more), now)
            stored = await self._stored(tx, "urgent", events, now) if events else None
        if stored is not None:
            self._tell(stored)
        return len(rows)

    async def _plan(self, tx: Transaction, site: str) -> Plan:
        """Of the site's zones as they are now; compiled when they changed."""
        row = await tx.one("zones_fingerprint", site=site)
        held = self._plans.get(site)
        if held is not None and held[0] == row["fingerprint"]:
            return held[1]
        zones = await tx.rows("zones_of_site", site=site)
        plan = await asyncio.to_thread(_compiled, zones, row["fingerprint"])
        if len(self._plans) >= PLANS_MAX:
            self._plans.clear()
        self._plans[site] = row["fingerprint"], plan
        return plan

    async def _stored(self, tx: Transaction, lane: Lane, rows: Sequence[Observation], now: datetime) -> Stored:
        wanted = {"lane": lane, "gateways": [GATEWAY], "epochs": [EPOCH]}
        await tx.execute("cursors_make", **wanted)
        [cursor] = await tx.rows("cursors_lock", **wanted)
        numbered = tuple(enumerate(rows, cursor["committed_seq"] + 1))
        batch = Batch(gateway=GATEWAY, epoch=EPOCH, lane=lane, rows=numbered)
        parcel = open_parcel(topic(GATEWAY, "up", lane), encode(batch))
        return await store_parcels(tx, lane, [parcel], self._urls, now)


def _compiled(zones: Sequence[dict[str, object]], version: int) -> Plan:
    cells = Cells(zone(str(each["id"]), each["shape"]) for each in zones)
    return Plan(cells, {str(each["id"]): msgspec.convert(each["rules"], Rules) for each in zones}, version)


def _carried(written: bytes, plan: Plan, now: datetime) -> tuple[Track, list[Crossing]]:
    """The track under the zones as they are now; those that are gone are left. One that cannot be read begins anew."""
    try:
        track = read(bytes(written)) if written else Track()
    except msgspec.MsgspecError as error:
        log.warning("track_unreadable", error=str(error))
        track = Track()
    if track.fix is None:
        return track, []
    track, told = carried(track, replace(track.fix, at=now.timestamp()), plan)
    return track, list(told)


async def _put(tx: Transaction, device: str, track: Track, plan: Plan) -> None:
    at = _due_at(track, plan)
    due_at = datetime.fromtimestamp(at, UTC) if at < inf else None
    await tx.execute("hub_track_put", device=device, track=kept(track), due_at=due_at)


def _due_at(track: Track, plan: Plan) -> float:
    """When something is to be told of it though it says nothing more."""
    fix = track.fix
    if fix is None or track.key != plan.key:
        return inf
    silences = [fix.at + lost_s for zone in track.state.stays if (lost_s := plan.rules[zone].lost_s) is not None]
    return min([track.state.due, *(at for at in silences if at > track.told)])


def _position(device: str, report: Report, plan: Plan, now: datetime) -> Observation:
    place = report.position
    return Observation(
        device=DeviceId(device),
        observed_at=min(report.observed_at, now),
        received_at=now,
        body=place,
        zone=ZoneId(plan.zone_at(place.longitude, place.latitude)),
    )


def _events(device: str, told: Sequence[Crossing], now: datetime) -> list[Observation]:
    return [zone_event(DeviceId(device), crossing, attributes_of(crossing), now) for crossing in told]

"""The site file: one site, its gateways, zones and devices as TOML, checked strictly and written at every start.

Rules
- An unknown key, a wrong type, a zone that cannot be drawn, a name that is given twice or points nowhere stops the
  start; each mistake is a line: the file, where in it, and what is wrong.
- The file is what holds: a zone that it no longer has is forgotten unless a device outside the file still stands in
  it. Gateways and devices that it no longer names stay, because observations name them.
- All of it is written in one transaction.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct, to_builtins

from devices.envelope import NAME_PATTERN, NAME_WORDS
from geofences.calendar import is_time_zone
from geofences.cells import Cells
from geofences.grid import GridError, cell_of, check_grid
from geofences.plan import Plan
from geofences.rules import NO_RULES, Rules
from geofences.together import RULES_MAX, MovingZone, Proximity, twice
from geofences.validity import drawn_zone
from geofences.zones import ZoneError
from hub.config import read_toml, refuse
from hub.store import Store, jsonb

Name = Annotated[str, Meta(pattern=NAME_PATTERN, description=NAME_WORDS)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
DEVICE_WORDS = "family:native-id, such as gbt26875:889, in printable ASCII characters without space"
DeviceName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}:[!-~]{1,100}$", description=DEVICE_WORDS)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
GRID = "grid"  # the purpose of cells of the responsibility tree; rules.parent is the cell above
Ring = Annotated[int, Meta(ge=0, le=100)]


class Site(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Name
    name_zh: Text
    name_en: Text
    time_zone: Text
    longitude: Longitude
    latitude: Latitude


class Gateway(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Name


class Zone(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ring`: 0 = none, else counted from the core outwards. `shape`: a GeoJSON Polygon or MultiPolygon.
    `rules`: what it asks for and tells, at the edges and here."""

    id: Name
    name_zh: Text
    name_en: Text
    purpose: Name
    shape: dict[str, Any]
    ring: Ring = 0
    rules: Rules = NO_RULES


class Device(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it stands; a device that moves has no place of its own."""

    id: DeviceName
    name: Text
    name_zh: Annotated[str, Meta(max_length=200)] = ""
    kind: Name
    zone: str = ""
    gateway: str = ""
    longitude: Longitude | None = None
    latitude: Latitude | None = None
    floor: Annotated[str, Meta(max_length=50)] = ""


class SiteFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Site
    gateways: tuple[Gateway, ...] = ()
    zones: tuple[Zone, ...] = ()
    moving_zones: Annotated[tuple[MovingZone, ...], Meta(max_length=RULES_MAX)] = ()
    proximity: Annotated[tuple[Proximity, ...], Meta(max_length=RULES_MAX)] = ()
    devices: tuple[Device, ...] = ()


def read(path: Path) -> SiteFile:
    """Raises ConfigError."""
    found = read_toml(path, SiteFile)
    refuse(path, _cross_checks(found))
    return found


async def write(store: Store, found: SiteFile) -> None:
    """Make the database say what the file says. Raises StoreError."""
    site = found.site
    async with store.transaction() as tx:
        await tx.execute(
            "site_upsert",
            site=site.id,
            name_zh=site.name_zh,
            name_en=site.name_en,
            time_zone=site.time_zone,
            longitude=site.longitude,
            latitude=site.latitude,
        )
        for gateway in sorted(found.gateways, key=lambda gateway: gateway.id):
            await tx.execute("gateway_upsert", gateway=gateway.id, site=site.id)
        for drawn in found.zones:
            await tx.execute(
                "zone_upsert",
                zone=drawn.id,
                site=site.id,
                name_zh=drawn.name_zh,
                name_en=drawn.name_en,
                purpose=drawn.purpose,
                ring=drawn.ring,
                shape=jsonb(drawn.shape),
                rules=jsonb(to_builtins(drawn.rules)),
            )
        await tx.execute("relations_forget", site=site.id)
        for kind, relations in (("moving", found.moving_zones), ("proximity", found.proximity)):
            for each in relations:
                rules = jsonb(to_builtins(each))
                await tx.execute("relation_add", site=site.id, relation=each.id, kind=kind, rules=rules)
        for device in sorted(found.devices, key=lambda device: device.id):
            await tx.execute(
                "device_upsert",
                device=device.id,
                site=site.id,
                zone=device.zone or None,
                gateway=device.gateway or None,
                name=device.name,
                name_zh=device.name_zh,
                kind=device.kind,
                longitude=device.longitude,
                latitude=device.latitude,
                floor=device.floor or None,
            )
        await tx.execute("zones_forget", site=site.id, zones=[drawn.id for drawn in found.zones])


def _cross_checks(found: SiteFile) -> Iterator[str]:
    """What the types cannot show."""
    if not is_time_zone(found.site.time_zone):
        yield f"site.time_zone: {found.site.time_zone} is not a time zone; expected a name such as Asia/Shanghai"
    yield from _twice("gateways", (gateway.id for gateway in found.gateways))
    yield from _twice("devices", (device.id for device in found.devices))
    yield from _zones(found)
    if name := twice(found.moving_zones, found.proximity, (drawn.id for drawn in found.zones)):
        yield f"zones, moving_zones and proximity: {name} is given twice"
    zones = {drawn.id for drawn in found.zones}
    gateways = {gateway.id for gateway in found.gateways}
    for device in found.devices:
        if device.zone and device.zone not in zones:
            yield f"devices: {device.id}: there is no zone {device.zone}"
        if device.gateway and device.gateway not in gateways:
            yield f"devices: {device.id}: there is no gateway {device.gateway}"
        if (device.longitude is None) != (device.latitude is None):
            yield f"devices: {device.id}: give longitude and latitude, or neither"


def _zones(found: SiteFile) -> Iterator[str]:
    """Each that cannot be drawn; then what only all of them together can be wrong in."""
    drawn = []
    for zone in found.zones:
        try:
            drawn.append(drawn_zone(zone.id, zone.shape))
        except ZoneError as error:
            yield str(error)
    try:
        cells = Cells(drawn)
        if len(drawn) == len(found.zones):
            Plan(cells, {zone.id: zone.rules for zone in found.zones})
            yield from _grid(found.zones)
    except ZoneError as error:
        yield str(error)


def _grid(zones: Iterable[Zone]) -> Iterator[str]:
    """Gaps and overlaps between the cells of the responsibility tree."""
    cells = {zone.id: zone for zone in zones if zone.purpose == GRID}
    parents = {zone.id: zone.rules.parent if zone.rules.parent in cells else "" for zone in cells.values()}
    try:
        drawn = [cell_of(each.id, _level(each.id, parents), parents[each.id], each.shape) for each in cells.values()]
        for fault in check_grid(drawn):
            yield f"zones: {fault}"
    except GridError as error:
        yield f"zones: {error}"


def _level(cell: str, parents: Mapping[str, str]) -> int:
    """Counted from the cell without one above it. They do not go round: the plan has seen to that."""
    return 1 + _level(parents[cell], parents) if parents[cell] else 1


def _twice(where: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{where}: {name} is given {'twice' if times == 2 else f'{times} times'}"

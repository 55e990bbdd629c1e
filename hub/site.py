"""The site file: one site, its gateways, zones and devices as TOML, checked strictly and written at every start.

Rules
- An unknown key, a wrong type, a zone that cannot be drawn, a name that is given twice or points nowhere stops the
  start; the error names the file, where in it, and what is wrong.
- The file is what holds: a zone that it no longer has is forgotten unless a device outside the file still stands in
  it. Gateways and devices that it no longer names stay, because observations name them.
- All of it is written in one transaction.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from devices.envelope import NAME_PATTERN
from geofences.validity import drawn_zone
from geofences.zones import ZoneError, Zones
from hub.config import ConfigError, read_toml
from hub.store import Store, jsonb

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
DeviceName = Annotated[str, Meta(pattern=r"^[a-z0-9]{1,32}:[!-~]{1,100}$")]  # family:native-id
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
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
    """`ring`: 0 = none, else counted from the core outwards. `shape`: a GeoJSON Polygon or MultiPolygon."""

    id: Name
    name_zh: Text
    name_en: Text
    purpose: Name
    shape: dict[str, Any]
    ring: Ring = 0


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
    devices: tuple[Device, ...] = ()


def read(path: Path) -> SiteFile:
    """Raises ConfigError."""
    found = read_toml(path, SiteFile)
    try:
        _check(found)
    except (ZoneError, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from error
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
            )
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


def _check(found: SiteFile) -> None:
    """Raises ConfigError or ZoneError."""
    try:
        ZoneInfo(found.site.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"site.time_zone: {found.site.time_zone} is not a time zone") from error
    _check_unique("gateways", (gateway.id for gateway in found.gateways))
    _check_unique("devices", (device.id for device in found.devices))
    zones = Zones(drawn_zone(drawn.id, drawn.shape) for drawn in found.zones).ids
    gateways = {gateway.id for gateway in found.gateways}
    for device in found.devices:
        if device.zone and device.zone not in zones:
            raise ConfigError(f"devices: {device.id}: there is no zone {device.zone}")
        if device.gateway and device.gateway not in gateways:
            raise ConfigError(f"devices: {device.id}: there is no gateway {device.gateway}")
        if (device.longitude is None) != (device.latitude is None):
            raise ConfigError(f"devices: {device.id}: give longitude and latitude, or neither")


def _check_unique(where: str, names: Iterable[str]) -> None:
    held: set[str] = set()
    for name in names:
        if name in held:
            raise ConfigError(f"{where}: {name} is given twice")
        held.add(name)

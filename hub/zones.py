"""Zones that people draw here: checked, versioned, told to every edge of the site at once.

Rules
- What is drawn is judged as files of drawings are (geofences.drawings), and refused with the vertex; its rules are read
  by the type that the edges read them by.
- A zone that the site file names belongs to it. One that was drawn here survives restarts and files.
- Each change is one transaction: the zone, a row of its log with what was and what is, and the document "zones" of
  every gateway of the site. What changes nothing makes none of them.
- A change names the version that was looked at; a zone's versions rise by one, also over its withdrawal, so that each
  of them can be had back.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from devices.mistakes import mistakes
from geofences.drawings import Setting, check, read
from geofences.drawings_model import DrawingError
from geofences.plan import parents_of
from geofences.rules import Rules, mistake
from geofences.zones import ZoneError
from hub.documents import ZONES, Documents, Issued
from hub.site import GRID
from hub.store import Row, Transaction, jsonb

ZONES_MAX = 20_000  # of a site
OWN = ("name_zh", "name_en", "purpose", "ring", "shape", "rules")


class CannotChange(Exception):
    """Something else stands against it; the text says what."""


class Unfit(Exception):
    """What was drawn is no zone; the text says where and why."""


class UnknownZone(Exception):
    """There is no such zone, site or version."""


class StaleZone(Exception):
    """It has moved on since somebody looked; `current`: its version now, 0 when there is none."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the zone is at version {current} now" if current else "there is no such zone now")
        self.current = current


class Drawn(Struct, frozen=True):
    """What a change came to: documents to publish after the commit, and what the judges would have a person know."""

    version: int
    issued: list[Issued]
    warnings: tuple[str, ...] = ()


class Change(Struct, frozen=True, kw_only=True):
    """Who changes which zone, when; `looked_at`: the version they saw, 0 for none."""

    site: str
    zone: str
    looked_at: int
    actor: str
    now: datetime


async def draw(tx: Transaction, documents: Documents, change: Change, given: Mapping[str, Any]) -> Drawn:
    """`given`: all of OWN but `shape`, and one of shape, circle (centre, radius_m) and corridor (line, width_m).
    Raises UnknownZone, Unfit, StaleZone, CannotChange, StoreError."""
    site = await tx.row("site_exists", site=change.site)
    if site is None:
        raise UnknownZone(f"there is no site {change.site}")
    if given["purpose"] == GRID:
        raise CannotChange("cells of a grid stand in the site file: only all of them together can be checked")
    shape, warnings = _judged(given, (site["longitude"], site["latitude"]))
    after = {key: given[key] for key in OWN if key not in {"shape", "rules"}}
    after |= {"shape": shape, "rules": _rules(given["rules"])}
    drawn = await _put(tx, documents, change, after, "")
    return Drawn(drawn.version, drawn.issued, warnings)


async def restore(tx: Transaction, documents: Documents, change: Change, version: int) -> Drawn:
    """As it was at that version, as a new one. Raises as `draw`."""
    row = await tx.row("zone_at_version", site=change.site, zone=change.zone, version=version)
    if row is None:
        raise UnknownZone(f"zone {change.zone} of site {change.site} had no version {version} that could be restored")
    return await _put(tx, documents, change, row["after"], "restore")


async def withdraw(tx: Transaction, documents: Documents, change: Change) -> Drawn:
    """Raises as `draw`."""
    before = await _looked_at(tx, change)
    if before is None:
        raise UnknownZone(f"there is no zone {change.zone} in site {change.site}")
    if standing := [row["device"] for row in await tx.rows("zone_in_use", zone=change.zone)]:
        raise CannotChange(f"devices stand in it: {', '.join(standing)}; move them first")
    others = await _parents(tx, change.site)
    if below := sorted(zone for zone, parent in others.items() if parent == change.zone):
        raise CannotChange(f"it is the parent of {', '.join(below[:3])}; change them first")
    await tx.execute("zone_withdraw", zone=change.zone)
    version = await _next_version(tx, change, before)
    return await _stepped(tx, documents, change, action="withdraw", version=version, before=before, after=None)


async def _put(tx: Transaction, documents: Documents, change: Change, after: dict[str, Any], action: str) -> Drawn:
    before = await _looked_at(tx, change)
    if before is not None and all(before[key] == after[key] for key in OWN):
        return Drawn(before["version"], [])
    await _check_family(tx, change, after["rules"], before is None)
    version = await _next_version(tx, change, before)
    columns = after | {"shape": jsonb(after["shape"]), "rules": jsonb(after["rules"])}
    await tx.execute("zone_put", zone=change.zone, site=change.site, version=version, **columns)
    action = action or ("draw" if before is None else "change")
    return await _stepped(tx, documents, change, action=action, version=version, before=before, after=after)


async def _looked_at(tx: Transaction, change: Change) -> Row | None:
    """The zone, locked, as whoever changes it saw it."""
    row = await tx.row("zone_lock", zone=change.zone)
    if row is not None and row["site"] != change.site:
        raise CannotChange(f"another site has a zone {change.zone}")
    if row is not None and row["source"] == "file":
        raise CannotChange(f"zone {change.zone} belongs to the site file: change it there, or draw one of another name")
    current = row["version"] if row is not None else 0
    if current != change.looked_at:
        raise StaleZone(current)
    return row


async def _next_version(tx: Transaction, change: Change, before: Row | None) -> int:
    newest = await tx.one("zone_version_newest", site=change.site, zone=change.zone)
    return int(max(newest["version"], before["version"] if before is not None else 0)) + 1


async def _check_family(tx: Transaction, change: Change, rules: Mapping[str, Any], is_new: bool) -> None:
    """Parents are there and do not go round, with this zone among the others of the site."""
    others = await _parents(tx, change.site)
    if is_new and len(others) >= ZONES_MAX:
        raise CannotChange(f"site {change.site} has {ZONES_MAX} zones, which is all there may be")
    together = others | {change.zone: rules.get("parent", "")}
    try:
        parents_of(list(together), list(together.values()))
    except ZoneError as error:
        raise Unfit(f"rules: {error}") from None


async def _parents(tx: Transaction, site: str) -> dict[str, str]:
    """Of each zone; "" where it has none."""
    return {row["zone"]: row["parent"] for row in await tx.rows("zone_parents_of_site", site=site)}


async def _stepped(
    tx: Transaction,
    documents: Documents,
    change: Change,
    *,
    action: str,
    version: int,
    before: Row | None,
    after: dict[str, Any] | None,
) -> Drawn:
    old = jsonb({key: before[key] for key in OWN}) if before is not None else None
    new = jsonb(after) if after is not None else None
    who = {"site": change.site, "zone": change.zone, "actor": change.actor, "now": change.now}
    await tx.execute("zone_step", version=version, action=action, before=old, after=new, **who)
    gateways = [row["gateway"] for row in await tx.rows("gateways_of_site", site=change.site)]
    return Drawn(version, await documents.issue(tx, ZONES, change.now, gateways))


def _rules(given: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is as by default, as the edges read them. Raises Unfit."""
    for wrong in mistakes(dict(given), Rules, "rules"):
        raise Unfit(wrong)
    rules = msgspec.convert(given, Rules)
    if wrong := mistake(rules):
        raise Unfit(f"rules.{wrong}")
    found: dict[str, Any] = msgspec.to_builtins(rules)
    return found


def _judged(given: Mapping[str, Any], near: tuple[float, float]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The shape to obey, and what is to be known of it. Raises Unfit."""
    key, geometry, size = _drawn_as(given)
    feature = {"type": "Feature", "properties": size, "geometry": geometry}
    try:
        verdicts = check(read(msgspec.json.encode(feature)), Setting(near=near))
    except DrawingError as error:
        raise Unfit(f"{key}: {error}") from None
    told = [f"{key}: {problem}" for verdict in verdicts for problem in verdict.problems]
    if len(verdicts) != 1 or verdicts[0].zone is None:
        raise Unfit("; ".join(told) or f"{key}: expected one shape")
    return verdicts[0].zone, tuple(told)


def _drawn_as(given: Mapping[str, Any]) -> tuple[str, dict[str, Any], dict[str, float]]:
    """(key, GeoJSON geometry, its width or radius)."""
    if circle := given.get("circle"):
        return "circle", {"type": "Point", "coordinates": circle["centre"]}, {"radius_m": circle["radius_m"]}
    if corridor := given.get("corridor"):
        return "corridor", {"type": "LineString", "coordinates": corridor["line"]}, {"width_m": corridor["width_m"]}
    return "shape", given["shape"], {}

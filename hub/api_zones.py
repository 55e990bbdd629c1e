"""Zones that people draw: flash zones in one call, versions, who changed what, and which edge obeys them already."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Path
from fastapi.responses import Response

from devices.envelope import NAME_PATTERN
from hub import clock
from hub.api_body import Listed
from hub.api_document import problems
from hub.api_lists import PAGE_ITEMS, Cursor, Limit, Number, answer, key_of, page, version_of
from hub.api_parts import Given, Parts, Whose
from hub.api_problems import Refused
from hub.api_sites import feature
from hub.api_zone_bodies import RestoreAsked, ZoneAsked, ZoneDetail, ZonesHeld, ZoneStep
from hub.store import Transaction
from hub.zones import CannotChange, Change, Drawn, StaleZone, Unfit, UnknownZone, draw, restore, withdraw

router = APIRouter(tags=["zones"])

log = structlog.get_logger()

ZoneName = Annotated[str, Path(pattern=NAME_PATTERN)]
LookedAt = Annotated[str | None, Header(alias="If-Match", description='the version looked at, quoted: `"3"`')]


@router.get("/zones/held", response_model=ZonesHeld, responses=problems(404))
async def zones_held(site: str, parts: Given) -> Response:
    """Which version of the site's zones each gateway was given, and which it works by."""
    async with parts.store.transaction() as tx:
        await _known(tx, site)
        return answer({"gateways": await _held(tx, site)})


@router.get("/zones/steps", response_model=Listed[ZoneStep], responses=problems(404))
async def zone_steps(
    parts: Given, *, site: str, zone: str | None = None, limit: Limit = PAGE_ITEMS, cursor: Cursor = None
) -> Response:
    """Who drew, changed, withdrew and restored which zone, newest first."""
    after = key_of("zone_steps", cursor, tuple[Number])
    async with parts.store.transaction() as tx:
        await _known(tx, site)
        wanted = {"site": site, "zone": zone, "after": after[0] if after else None, "limit": limit + 1}
        rows = await tx.rows("zone_steps_page", **wanted)
    return answer(page("zone_steps", rows, limit, lambda row: (row["number"],), lambda row: row))


@router.get("/sites/{site}/zones/{zone}", response_model=ZoneDetail, responses=problems(404))
async def zone(site: str, zone: ZoneName, parts: Given) -> Response:
    """With its version (ETag) and how far each gateway is."""
    return await _shown(parts, site, zone, ())


@router.put(
    "/sites/{site}/zones/{zone}", response_model=ZoneDetail, responses=problems(400, 403, 404, 409, 412, 413, 428)
)
async def draw_zone(
    site: str, zone: ZoneName, asked: ZoneAsked, parts: Given, session: Whose, *, if_match: LookedAt = None
) -> Response:
    """Draw a zone, or change it: then If-Match names the version looked at. Every gateway of the site is told at once,
    and works by it within a second or two when it is online. 412: somebody else has changed it."""
    given = asked.model_dump()
    drawn = await _changed(
        parts,
        Change(site=site, zone=zone, looked_at=_version(if_match, 0), actor=session.name, now=clock.now()),
        lambda tx, change: draw(tx, parts.documents, change, given),
    )
    return await _shown(parts, site, zone, drawn.warnings)


@router.delete(
    "/sites/{site}/zones/{zone}",
    status_code=204,
    response_model=None,
    responses=problems(400, 403, 404, 409, 412, 428),
)
async def withdraw_zone(site: str, zone: ZoneName, parts: Given, session: Whose, if_match: LookedAt = None) -> Response:
    """No edge obeys it any more; its versions stay, to be restored."""
    change = Change(site=site, zone=zone, looked_at=_version(if_match), actor=session.name, now=clock.now())
    await _changed(parts, change, lambda tx, change: withdraw(tx, parts.documents, change))
    return Response(status_code=204)


@router.post(
    "/sites/{site}/zones/{zone}/restore",
    response_model=ZoneDetail,
    responses=problems(400, 403, 404, 409, 412, 413, 428),
)
async def restore_zone(
    site: str, zone: ZoneName, asked: RestoreAsked, parts: Given, session: Whose, *, if_match: LookedAt = None
) -> Response:
    """As it was at a version, also when it was withdrawn since; that makes a new version."""
    change = Change(site=site, zone=zone, looked_at=_version(if_match, 0), actor=session.name, now=clock.now())
    await _changed(parts, change, lambda tx, change: restore(tx, parts.documents, change, asked.version))
    return await _shown(parts, site, zone, ())


async def _changed(parts: Parts, change: Change, how: Callable[[Transaction, Change], Awaitable[Drawn]]) -> Drawn:
    try:
        async with parts.store.transaction() as tx:
            drawn = await how(tx, change)
    except UnknownZone as error:
        raise Refused(404, str(error)) from None
    except Unfit as error:
        raise Refused(422, f"body {error}") from None
    except CannotChange as error:
        raise Refused(409, str(error)) from None
    except StaleZone as error:
        if change.looked_at == 0:
            raise Refused(428, f'say which version you looked at: If-Match: "{error.current}"') from None
        raise Refused(412, str(error), {"ETag": f'"{error.current}"'} if error.current else None) from None
    if drawn.issued:
        parts.documents.publish(drawn.issued)
        parts.live.publish("zones", {"site": change.site, "zone": change.zone})
        log.info("zone_changed", actor=change.actor, site=change.site, zone=change.zone, version=drawn.version)
    return drawn


async def _shown(parts: Parts, site: str, zone: str, warnings: Sequence[str]) -> Response:
    async with parts.store.transaction() as tx:
        row = await tx.row("zones_shown", site=site, zone=zone)
        if row is None:
            raise Refused(404, f"there is no zone {zone} in site {site}")
        held = await _held(tx, site)
    return answer(
        feature(row) | {"warnings": list(warnings), "gateways": held}, headers={"ETag": f'"{row["version"]}"'}
    )


async def _known(tx: Transaction, site: str) -> None:
    if await tx.row("site_exists", site=site) is None:
        raise Refused(404, f"there is no site {site}")


async def _held(tx: Transaction, site: str) -> list[dict[str, Any]]:
    return [{**row, "state": _state(row)} for row in await tx.rows("zones_held", site=site)]


def _state(row: dict[str, Any]) -> str:
    if row["held"] >= row["issued"] > 0:
        return "held"
    return "refused" if row["reason"] else "waiting"


def _version(if_match: str | None, default: int | None = None) -> int:
    if if_match is None and default is not None:
        return default
    return version_of(if_match)

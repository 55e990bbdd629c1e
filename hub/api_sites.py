"""Sites, their zones, and the words of the dictionary."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from devices.dictionary import ALARMS, EVENTS, METRICS
from hub.api_bodies import Dictionary, Site, Zones
from hub.api_body import Listed
from hub.api_document import problems
from hub.api_lists import PAGE_ITEMS, Cursor, Limit, Text, answer, key_of, page
from hub.api_parts import Given
from hub.api_problems import Refused
from hub.store import Row

router = APIRouter(tags=["sites"])


@router.get("/sites", response_model=Listed[Site])
async def sites(parts: Given, limit: Limit = PAGE_ITEMS, cursor: Cursor = None) -> Response:
    """By site."""
    after = key_of("sites", cursor, tuple[Text])
    rows = await parts.store.rows("sites_page", after=after[0] if after else None, limit=limit + 1)
    return answer(page("sites", rows, limit, lambda row: (row["site"],), lambda row: row))


@router.get("/sites/{site}/zones", response_model=Zones, responses=problems(404))
async def zones(site: str, parts: Given) -> Response:
    """GeoJSON, inner rings first."""
    async with parts.store.transaction() as tx:
        if await tx.row("site_exists", site=site) is None:
            raise Refused(404, f"there is no site {site}")
        rows = await tx.rows("zones_shown", site=site, zone=None)
    return answer({"type": "FeatureCollection", "features": [feature(row) for row in rows]})


@router.get("/dictionary", response_model=Dictionary)
async def dictionary() -> Response:
    """Every metric, alarm and event there is: name, unit, range, priority, meaning."""
    return answer({"metrics": _words(METRICS), "alarms": _words(ALARMS), "events": _words(EVENTS)})


def _words(table: Mapping[str, Any]) -> list[Any]:
    return [msgspec.to_builtins(word) for word in table.values()]


def feature(row: Row) -> dict[str, Any]:
    """A zone as GeoJSON."""
    shown = ("zone", "name_zh", "name_en", "purpose", "ring", "rules", "source", "version")
    properties = {key: row[key] for key in shown}
    return {"type": "Feature", "id": row["zone"], "geometry": row["shape"], "properties": properties}

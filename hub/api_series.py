"""One device over time: a metric made small in the database, and its track."""

from datetime import timedelta
from math import ceil
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from devices.dictionary import METRICS
from hub.api_bodies import Position, Series
from hub.api_body import Listed
from hub.api_devices import known, unit_of
from hub.api_document import problems
from hub.api_lists import From, To, answer, everything, window
from hub.api_parts import Given
from hub.api_problems import Refused

POINTS = 300
POINTS_MAX = 1_000
TRACK_ITEMS = 500
TRACK_ITEMS_MAX = 5_000
COMPONENT_CHARS_MAX = 200

router = APIRouter(tags=["devices"])


@router.get("/devices/{device:path}/series", response_model=Series, responses=problems(404))
async def series(
    device: str,
    parts: Given,
    *,
    metric: Annotated[str, Query(description="a name of the dictionary")],
    component: Annotated[str, Query(max_length=COMPONENT_CHARS_MAX)] = "",
    start: From = None,
    end: To = None,
    points: Annotated[int, Query(ge=1, le=POINTS_MAX, description="buckets at most")] = POINTS,
) -> Response:
    """Least, greatest and mean of each bucket that has values; the last 24 h unless said otherwise."""
    if metric not in METRICS:
        raise Refused(422, f"query metric: must be one of {', '.join(METRICS)}")
    first, beyond = window(start, end)
    bucket_s = max(1, ceil((beyond - first).total_seconds() / points))
    async with parts.store.transaction() as tx:
        await known(tx, device)
        rows = await tx.rows(
            "series_buckets",
            device=device,
            metric=metric,
            component=component,
            start=first,
            end=beyond,
            bucket=timedelta(seconds=bucket_s),
        )
    which = {"device": device, "metric": metric, "component": component, "unit": unit_of(metric)}
    return answer(which | {"from": first, "to": beyond, "bucket_s": bucket_s, "items": rows})


@router.get("/devices/{device:path}/track", response_model=Listed[Position], responses=problems(404))
async def track(
    device: str,
    parts: Given,
    *,
    start: From = None,
    end: To = None,
    limit: Annotated[int, Query(ge=1, le=TRACK_ITEMS_MAX)] = TRACK_ITEMS,
) -> Response:
    """Where it was, newest first; the last 24 h unless said otherwise. More than `limit`: ask with an earlier `to`."""
    first, beyond = window(start, end)
    async with parts.store.transaction() as tx:
        await known(tx, device)
        rows = await tx.rows("track", device=device, start=first, end=beyond, limit=limit)
    return answer(everything(rows))

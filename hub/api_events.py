"""The log of alarms and events, as devices reported them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from hub.api_bodies import Event, EventClass
from hub.api_body import Listed
from hub.api_lists import PAGE_ITEMS, Cursor, From, Instant, Limit, Number, Text, To, answer, key_of, open_window, page
from hub.api_parts import Given
from hub.store import Row

router = APIRouter(tags=["events"])

_KEY = ("observed_at", "gateway", "epoch", "seq")


@router.get("/events", response_model=Listed[Event])
async def events(
    parts: Given,
    *,
    device: str | None = None,
    which: Annotated[EventClass | None, Query(alias="class")] = None,
    zone: str | None = None,
    start: From = None,
    end: To = None,
    limit: Limit = PAGE_ITEMS,
    cursor: Cursor = None,
) -> Response:
    """Newest first."""
    first, beyond = open_window(start, end)
    after = key_of("events", cursor, tuple[Instant, Text, Text, Number]) or (None, None, None, None)
    filters = {"device": device, "class": which, "zone": zone, "start": first, "end": beyond}
    place = dict(zip(("at", "gateway", "epoch", "seq"), after, strict=True))
    rows = await parts.store.rows("events_page", **filters, **place, limit=limit + 1)
    return answer(page("events", rows, limit, lambda row: tuple(row[name] for name in _KEY), _event))


def _event(row: Row) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("epoch", "seq")}

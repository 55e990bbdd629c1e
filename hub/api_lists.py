"""Lists of the API: pages by key, windows of time, and the shape of an answer.

A cursor is the key of the last item shown, made unreadable and marked with the list it belongs to: one that was
changed, or taken from another list, is refused with 422. It holds nothing secret.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Query
from fastapi.responses import Response
from msgspec import Meta
from starlette.requests import Request

from hub import clock
from hub.api_problems import Refused
from hub.store import Row

PAGE_ITEMS = 50
PAGE_ITEMS_MAX = 200
CURSOR_CHARS_MAX = 1_000
MARK_BYTES = 8
DAY = timedelta(days=1)
ETAG = re.compile(r'^(?:W/)?"(\d{1,9})"$', re.ASCII)
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

Limit = Annotated[int, Query(ge=1, le=PAGE_ITEMS_MAX, description="items of a page")]
Cursor = Annotated[
    str | None, Query(max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before, as it came")
]
From = Annotated[datetime | None, Query(alias="from", description="ISO 8601 with a zone, included")]
To = Annotated[datetime | None, Query(alias="to", description="ISO 8601 with a zone, left out")]

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # in a cursor: what the database can compare
Text = Annotated[str, Meta(max_length=300, pattern=r"^[^\x00]*$")]
Instant = Annotated[datetime, Meta(tz=True)]

Key = TypeVar("Key", bound=tuple[Any, ...])


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def page(
    name: str, rows: Sequence[Row], limit: int, key: Callable[[Row], tuple[Any, ...]], view: Callable[[Row], Any]
) -> dict[str, Any]:
    """`rows` were asked for with one more than `limit`: it tells that there is a next page."""
    shown = rows[:limit]
    return {
        "items": [view(row) for row in shown],
        "next_cursor": cursor_of(name, key(shown[-1])) if len(rows) > limit else None,
    }


def everything(rows: Sequence[Any]) -> dict[str, Any]:
    """A list that has one page."""
    return {"items": rows, "next_cursor": None}


def cursor_of(name: str, key: tuple[Any, ...]) -> str:
    content = msgspec.json.encode(key)
    return urlsafe_b64encode(_mark(name, content) + content).decode().rstrip("=")


def key_of(name: str, cursor: str | None, kind: type[Key]) -> Key | None:
    """The key in `cursor`; None without one. Raises Refused."""
    if cursor is None:
        return None
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        if urlsafe_b64encode(raw).decode().rstrip("=") == cursor and _mark(name, raw[MARK_BYTES:]) == raw[:MARK_BYTES]:
            key: Key = msgspec.json.decode(raw[MARK_BYTES:], type=kind)
            return key
    except (Error, UnicodeEncodeError, msgspec.DecodeError):
        pass
    raise Refused(422, "query cursor: not one that this list gave")


async def only_known(request: Request) -> None:
    """A parameter that is misspelt would silently filter nothing. Raises Refused."""
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    for name, number in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            raise Refused(422, f"query {name[:50]}: unknown; allowed: {', '.join(known) or 'none'}")
        if number > 1:
            raise Refused(422, f"query {name}: given {number} times")


def window(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """[start, end); the last 24 h unless said otherwise. Raises Refused."""
    _check_instant("from", start)
    _check_instant("to", end)
    last = end or clock.now()
    first = start or last - DAY
    if first >= last:
        raise Refused(422, "query from: must be before `to`")
    return first, last


def open_window(start: datetime | None, end: datetime | None) -> tuple[datetime | None, datetime | None]:
    """The same where no limit is one. Raises Refused."""
    _check_instant("from", start)
    _check_instant("to", end)
    if start and end and start >= end:
        raise Refused(422, "query from: must be before `to`")
    return start, end


def version_of(if_match: str | None) -> int:
    """The version in a header If-Match. Raises Refused."""
    if if_match is None:
        raise Refused(428, 'say which version you looked at: If-Match: "<version>"')
    found = ETAG.match(if_match.strip())
    if found is None:
        raise Refused(422, 'header If-Match: must be one version in quotes, for example "3"')
    return int(found[1])


def _check_instant(name: str, at: datetime | None) -> None:
    if at is None:
        return
    if at.tzinfo is None:
        raise Refused(422, f"query {name}: needs a time zone, for example 2026-11-24T08:00:00Z")
    if not EARLIEST <= at <= LATEST:
        raise Refused(422, f"query {name}: must be between {EARLIEST:%Y} and {LATEST:%Y}")


def _mark(name: str, content: bytes) -> bytes:
    return blake2b(content, digest_size=MARK_BYTES, person=name.encode()).digest()

"""Dahua CGI events, read into plain values. What they mean: dahua.py. The multipart around them: devices/multipart.py.

    eventManager   Heartbeat
                   Code=CrossLineDetection;action=Start|Stop|Pulse;index=0[;data={ ...JSON, over several lines... }]
    snapManager    Events[0].Code=AccessControl
                   Events[0].Data.UserID=1001            values are strings; a picture follows in the next part
    CGI replies    records[0].CardNo=000123
                   records[0].UserNames[0]=Alex

The JSON has `;`, `{` and `}` in its strings, so its end is where its braces are closed outside of strings. A "Code=" at
the start of a line begins a new event, whatever was open before it.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from msgspec import Struct

from devices.json_text import clean, read_json

EVENTS_MAX = 200  # of one part
LINES_MAX = 5_000
DEPTH_MAX = 8
INDEX_MAX = 1_000
WORD_CHARS_MAX = 64
MILLISECONDS_FROM = 1e11
SECONDS_MAX = 253_402_300_799  # the end of the year 9999
EVENT = re.compile(r"^Code=", re.MULTILINE)
FIELD = re.compile(r"(\w+)=([^;\r\n]*)")
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
STEP = re.compile(r"(\w+)(?:\[(\d{1,4})\])?")
SECRET = re.compile(r"passw(or)?d|pwd|token|secret|(^|[._])pin(code)?$", re.IGNORECASE)
TIMES = ("RealUTC", "UTC", "CreateTime")  # the first that is a time counts

Data = dict[str, Any]


class Event(Struct, frozen=True, kw_only=True):
    """`action` is "" and `index` None where they were left out. `broken`: the JSON was cut short."""

    code: str
    action: str = ""
    index: int | None = None
    data: Data = {}
    broken: bool = False


def read_events(text: str) -> list[Event]:
    """The events of a part; a heartbeat has none."""
    if text.lstrip().startswith("Events["):
        return list(_flattened(text))
    starts = [match.start() for match in EVENT.finditer(text)][:EVENTS_MAX]
    return [_event(text[start:end]) for start, end in pairwise([*starts, len(text)])]


def _event(text: str) -> Event:
    head, mark, rest = text.partition(";data=")
    said = {name: value.strip() for name, value in FIELD.findall(head)}
    data = read_json(_balanced(rest), dict[str, Any]) if mark else {}
    index = said.get("index", "")
    return Event(
        code=clean(said.get("Code", ""), WORD_CHARS_MAX),
        action=clean(said.get("action", ""), WORD_CHARS_MAX),
        index=int(index) if index.isascii() and index.isdecimal() and len(index) <= 4 else None,
        data=data or {},
        broken=data is None,
    )


def _balanced(text: str) -> str:
    """From the first brace to the one that closes it; all of it when nothing does."""
    depth = 0
    for token in TOKEN.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth <= 0 and token[0] in "}]":
            return text[: token.end()]
    return text


def _flattened(text: str) -> Iterator[Event]:
    listed = read_table(text).get("Events")
    for one in listed[:EVENTS_MAX] if isinstance(listed, list) else ():
        if isinstance(one, dict) and isinstance(one.get("Code"), str):
            data, index = one.get("Data", {}), one.get("Index", "")
            yield Event(
                code=clean(one["Code"], WORD_CHARS_MAX),
                action=clean(str(one.get("Action", "")), WORD_CHARS_MAX),
                index=int(index) if isinstance(index, str) and index.isascii() and index.isdecimal() else None,
                data=data if isinstance(data, dict) else {},
            )


def read_table(text: str) -> Data:
    """Lines `name[0].other=value` as nested objects and lists. What contradicts an earlier line is left out."""
    found: Data = {}
    for line in text.splitlines()[:LINES_MAX]:
        path, mark, value = line.strip().partition("=")
        steps = [STEP.fullmatch(word) for word in path.split(".")]
        if mark and len(steps) <= DEPTH_MAX and None not in steps:
            keys = [key for step in steps if step for key in (step[1], step[2]) if key is not None]
            _put(found, [int(key) if key.isdecimal() and at else key for at, key in enumerate(keys)], value)
    return found


def _put(place: Any, keys: list[str | int], value: str) -> None:
    """Lists grow by one at most: nobody makes a thousand places with one line."""
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        inner: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(key, int) and isinstance(place, list) and key == len(place) < INDEX_MAX:
            place.append(inner)
        elif isinstance(key, str) and isinstance(place, dict):
            place.setdefault(key, inner)
        elif not (isinstance(key, int) and isinstance(place, list) and key < len(place)):
            return
        place = place[key]


# --- values --------------------------------------------------------------------------------------


def number(value: object) -> int | None:
    """A whole number, also in a string."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"-?\d{1,15}", value, re.ASCII) else None
    return value if abs(value) < 10**15 else None


def read_epoch(data: Data) -> int | None:
    """Seconds since 1970, from whichever field has them; larger numbers are milliseconds."""
    for name in TIMES:
        value = number(data.get(name))
        if value is not None and value > 0:
            seconds = value // 1000 if value > MILLISECONDS_FROM else value
            return seconds if seconds <= SECONDS_MAX else None
    return None


def read_time(data: Data) -> datetime | None:
    seconds = read_epoch(data)
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None


class Passage(Struct, frozen=True, kw_only=True):
    """Data of AccessControl. Ids are strings, with their leading zeros. `granted` None: it does not say."""

    user_id: str | None = None
    card_no: str | None = None
    card_name: str | None = None
    door: int | None = None
    reader_id: str | None = None
    method: int | None = None
    status: int | None = None
    error_code: int | None = None
    type: str | None = None
    time_epoch: int | None = None
    granted: bool | None = None


def read_passage(data: Data) -> Passage:
    """An error code means failed, whatever the status says."""
    status, error = number(data.get("Status")), number(data.get("ErrorCode"))
    return Passage(
        user_id=_id(data.get("UserID")),
        card_no=_id(data.get("CardNo")),
        card_name=_id(data.get("CardName")),
        door=number(data.get("Door")),
        reader_id=_id(data.get("ReaderID")),
        method=number(data.get("Method")),
        status=status,
        error_code=error,
        type=_id(data.get("Type")),
        time_epoch=read_epoch(data),
        granted=False if error else None if status is None else status == 1,
    )


def _id(value: object) -> str | None:
    return clean(str(value), WORD_CHARS_MAX) if isinstance(value, str | int) else None


def redacted(value: Any) -> Any:
    """What may be shown or logged of an event: without passwords and codes."""
    if isinstance(value, dict):
        return {key: "<redacted>" if SECRET.search(str(key)) else redacted(inner) for key, inner in value.items()}
    return [redacted(inner) for inner in value] if isinstance(value, list) else value

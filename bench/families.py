"""One good report of every family, again and again → Observations, a second on one core.

The three families that flood are measured over a long day of theirs in bench/decode.py; this is the cost of one report
of each protocol. The limit beside each number is the least that anybody does with the same bytes: `json.loads` of JSON,
ElementTree of XML, else `struct` over all of them and a sum.
"""

import json
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import msgspec

from bench.result import Result
from devices.families import FAMILIES
from devices.family import AnyFamily, Message, MessageFamily
from devices.observation import Observation
from tests.devices.frames import GOOD
from tests.devices.messages import GOOD_MESSAGES

REPORTS, REPORTS_QUICK = 5_000, 1_000
ROUNDS = 5
START = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
EVERY = timedelta(seconds=20)  # a session that tells only news forgets what it told


def run(quick: bool) -> list[Result]:
    return [_measure(name, REPORTS_QUICK if quick else REPORTS) for name in FAMILIES]


def _measure(name: str, reports: int) -> Result:
    family = FAMILIES[name]
    data = GOOD_MESSAGES[name].message.data if isinstance(family, MessageFamily) else GOOD[name][1]
    bare = _bare(data)
    seconds, observations = min(_decode(family, name, reports) for _ in range(ROUNDS))
    limit_s = min(_timed(lambda: [bare() for _ in range(reports)]) for _ in range(ROUNDS))
    return Result(
        name=f"{name}, one core",
        value=reports / seconds,
        unit="reports/s",
        limit=reports / limit_s,
        limit_name="bare parse",
        note=f"{len(data)} bytes, {observations / reports:.1f} observations a report",
    )


def _decode(family: AnyFamily, name: str, reports: int) -> tuple[float, int]:
    """(seconds, observations) for one new session."""
    found: list[Any] = []
    times = [START + number * EVERY for number in range(reports)]
    if isinstance(family, MessageFamily):
        good = GOOD_MESSAGES[name]
        session = family.open_session(msgspec.convert(good.settings, family.settings), {good.native_id})
        message: Message = good.message

        def decode() -> None:
            for now in times:
                found.append(session.receive(message, now))
                session.to_send()
    else:
        native_id, frame = GOOD[name]
        stream = family.open_session(family.settings(), {native_id})

        def decode() -> None:
            for now in times:
                found.append(stream.receive(frame, now))
                stream.to_send()

    seconds = _timed(decode)
    return seconds, sum(isinstance(result, Observation) for results in found for result in results)


def _bare(data: bytes) -> Callable[[], Any]:
    text = data.lstrip()
    if text[:1] in (b"{", b"["):
        try:
            json.loads(text)
            return lambda: json.loads(data)
        except ValueError:
            pass  # a band's "[3G*…]"
    if text[:1] == b"<":
        return lambda: ElementTree.fromstring(data)  # noqa: S314 - a frame of ours
    words = struct.Struct(f"<{len(data)}B")
    return lambda: sum(words.unpack(data))


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

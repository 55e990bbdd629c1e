"""Reconciling what devices were told was accepted with what the database holds.

The ledger is written by the simulators, which know nothing of edge or hub: one JSON line for each report that the edge
has confirmed on the wire. A report is turned into facts (one alarm, one event, one position, or one value of one
metric); the database is turned into facts the same way, and the two multisets are compared.
- lost: accepted more often than stored. Must be empty, whatever was killed.
- twice: stored more often than accepted, and accepted at least once.
- unconfirmed: stored, never accepted. Legal: the confirmation can be lost on the wire after the fact was stored.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from devices.dictionary import ALARMS, EVENTS, METRICS
from gridward.postgres import rows
from gridward.processes import ProcessError

PLACES = 5  # decimals of a degree that survive every family's wire: about a metre
VALUE_PLACES = 3

# (what, device, name, component, observed_at, value)
Fact = tuple[str, str, str, str, datetime, str]


class Accepted(Struct, frozen=True):
    """One report that the edge confirmed. `kind` is an alarm, an event, a metric, "position" or "telemetry"."""

    device: str
    observed_at: datetime
    kind: str = ""
    component: str = ""
    values: dict[str, Any] = {}


class Balance(Struct, frozen=True):
    """The outcome; the lists are readable texts, sorted."""

    accepted: int
    lost: list[str]
    twice: list[str]
    unconfirmed: int


def reconcile(ledger: Path, dsn: str) -> Balance:
    reports = read(ledger)
    owed = Counter(fact for report in reports for fact in facts_of(report))
    held = stored(dsn)
    lost = owed - held
    over = held - owed
    return Balance(
        accepted=len(reports),
        lost=sorted(map(_text, lost.elements())),
        twice=sorted(_text(fact) for fact in over.elements() if fact in owed),
        unconfirmed=sum(number for fact, number in over.items() if fact not in owed),
    )


def read(ledger: Path) -> list[Accepted]:
    """Every whole line; a last line that is still being written is left for the next reading."""
    if not ledger.exists():
        return []
    text = ledger.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    try:
        return msgspec.json.decode(b"[" + whole.strip().replace(b"\n", b",") + b"]", type=list[Accepted])
    except msgspec.DecodeError as error:
        raise ProcessError(f"{ledger}: {error}") from error


def facts_of(report: Accepted) -> Iterator[Fact]:
    at = report.observed_at.astimezone(UTC)
    if report.kind in ALARMS:
        raised = "raised" if report.values.get("raised", True) else "cleared"
        yield "alarm", report.device, report.kind, report.component, at, raised
    elif report.kind in EVENTS:
        yield "event", report.device, report.kind, report.component, at, ""
    elif report.kind == "position":
        yield _position(report.device, at, report.values["longitude"], report.values["latitude"])
    else:
        for metric, value in report.values.items():
            if metric in METRICS:
                yield _value(report.device, metric, report.component, at, value)


def stored(dsn: str) -> Counter[Fact]:
    """What the database holds, as facts."""
    held: Counter[Fact] = Counter()
    for row in rows(dsn, "SELECT device, class, kind, raised, component, observed_at FROM events"):
        raised = ("raised" if row["raised"] else "cleared") if row["class"] == "alarm" else ""
        held[
            row["class"], row["device"], row["kind"], row["component"], row["observed_at"].astimezone(UTC), raised
        ] += 1
    for row in rows(dsn, "SELECT device, observed_at, longitude, latitude FROM positions"):
        held[_position(row["device"], row["observed_at"].astimezone(UTC), row["longitude"], row["latitude"])] += 1
    for row in rows(dsn, "SELECT device, metric, component, observed_at, value FROM telemetry"):
        at = row["observed_at"].astimezone(UTC)
        held[_value(row["device"], row["metric"], row["component"], at, row["value"])] += 1
    return held


def _position(device: str, at: datetime, longitude: float, latitude: float) -> Fact:
    return "position", device, "", "", at, f"{longitude:.{PLACES}f} {latitude:.{PLACES}f}"


def _value(device: str, metric: str, component: str, at: datetime, value: float) -> Fact:
    return "value", device, metric, component, at, f"{value:.{VALUE_PLACES}f}"


def _text(fact: Fact) -> str:
    what, device, name, component, at, value = fact
    return " ".join(filter(None, (what, device, name, component, at.isoformat(), value)))

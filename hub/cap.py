"""CAP 1.2 (OASIS Common Alerting Protocol): alerts as values, read from XML and written to it. Pure.

Rules
- What is required, which words are allowed and what belongs together (CAP 1.2, section 3.2) is checked on reading and
  on writing alike: scope Restricted has a restriction, Private has addresses; Update, Cancel, Ack and Error name what
  they are about. An identifier and a sender have no blanks, commas, `<` or `&`.
- Times have a numeric offset and no fraction: 2026-01-01T20:15:00+08:00. UTC is -00:00, never Z.
- Elements are written in the order of the schema. What is read may have them in any order: their order says nothing.
- Positions are WGS-84, latitude first as in CAP; a polygon ends where it begins and has at least four.
- "Very Likely", a certainty of CAP 1.0, is read as Likely. The language is en-US where none is given.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

STATUSES = ("Actual", "Exercise", "System", "Test", "Draft")
MESSAGE_TYPES = ("Alert", "Update", "Cancel", "Ack", "Error")
SCOPES = ("Public", "Restricted", "Private")
CATEGORIES = tuple("Geo Met Safety Security Rescue Fire Health Env Transport Infra CBRNE Other".split())
RESPONSES = tuple("Shelter Evacuate Prepare Execute Avoid Monitor Assess AllClear None".split())
URGENCIES = ("Immediate", "Expected", "Future", "Past", "Unknown")
SEVERITIES = ("Extreme", "Severe", "Moderate", "Minor", "Unknown")
CERTAINTIES = ("Observed", "Likely", "Possible", "Unlikely", "Unknown")
ABOUT_OTHERS = frozenset({"Update", "Cancel", "Ack", "Error"})
POLYGON_POSITIONS_MIN = 4
NAME = re.compile(r"[^\s,<&]+")

Named = tuple[str, str]  # valueName, value; a name may stand more than once
Degrees = tuple[float, float]  # latitude, longitude


class CapError(Exception):
    """What is wrong with the alert; for people."""


class Reference(Struct, frozen=True):
    sender: str
    identifier: str
    sent: datetime


class Circle(Struct, frozen=True):
    latitude: float
    longitude: float
    radius_km: float


class Area(Struct, frozen=True, kw_only=True):
    """`altitude_ft`, `ceiling_ft`: above mean sea level."""

    description: str
    polygons: tuple[tuple[Degrees, ...], ...] = ()
    circles: tuple[Circle, ...] = ()
    geocodes: tuple[Named, ...] = ()
    altitude_ft: float | None = None
    ceiling_ft: float | None = None


class Resource(Struct, frozen=True, kw_only=True):
    """`digest`: SHA-1, hexadecimal. `deref_uri`: the thing itself, base64."""

    description: str
    mime_type: str
    size: int | None = None
    uri: str = ""
    deref_uri: str = ""
    digest: str = ""


class Info(Struct, frozen=True, kw_only=True):
    """What an alert says in one language or to one audience."""

    language: str = "en-US"
    categories: tuple[str, ...]
    event: str
    responses: tuple[str, ...] = ()
    urgency: str
    severity: str
    certainty: str
    audience: str = ""
    event_codes: tuple[Named, ...] = ()
    effective: datetime | None = None
    onset: datetime | None = None
    expires: datetime | None = None
    sender_name: str = ""
    headline: str = ""
    description: str = ""
    instruction: str = ""
    web: str = ""
    contact: str = ""
    parameters: tuple[Named, ...] = ()
    resources: tuple[Resource, ...] = ()
    areas: tuple[Area, ...] = ()


class Alert(Struct, frozen=True, kw_only=True):
    identifier: str
    sender: str
    sent: datetime
    status: str
    message_type: str
    source: str = ""
    scope: str
    restriction: str = ""
    addresses: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    note: str = ""
    references: tuple[Reference, ...] = ()
    incidents: tuple[str, ...] = ()
    infos: tuple[Info, ...] = ()


def check(alert: Alert) -> None:
    """Raises CapError for the first rule that is broken."""
    for name, text in (("identifier", alert.identifier), ("sender", alert.sender)):
        if not NAME.fullmatch(text):
            raise CapError(f"{name}: {text!r} is empty or has a blank, a comma, < or &")
    _one_of("status", alert.status, STATUSES)
    _one_of("msgType", alert.message_type, MESSAGE_TYPES)
    _one_of("scope", alert.scope, SCOPES)
    if alert.scope == "Restricted" and not alert.restriction:
        raise CapError("restriction: scope Restricted needs it")
    if alert.scope == "Private" and not alert.addresses:
        raise CapError("addresses: scope Private needs them")
    if alert.message_type in ABOUT_OTHERS and not alert.references:
        raise CapError(f"references: {alert.message_type} has to name what it is about")
    for info in alert.infos:
        _check_info(info)


def _check_info(info: Info) -> None:
    if not info.categories:
        raise CapError("category: is missing")
    if not info.event:
        raise CapError("event: is missing")
    for category in info.categories:
        _one_of("category", category, CATEGORIES)
    for response in info.responses:
        _one_of("responseType", response, RESPONSES)
    _one_of("urgency", info.urgency, URGENCIES)
    _one_of("severity", info.severity, SEVERITIES)
    _one_of("certainty", info.certainty, CERTAINTIES)
    for area in info.areas:
        _check_area(area)


def _check_area(area: Area) -> None:
    if not area.description:
        raise CapError("areaDesc: is missing")
    for polygon in area.polygons:
        if len(polygon) < POLYGON_POSITIONS_MIN or polygon[0] != polygon[-1]:
            raise CapError("polygon: needs four positions, the last of them the first")
        for place in polygon:
            _on_earth("polygon", *place)
    for circle in area.circles:
        _on_earth("circle", circle.latitude, circle.longitude)
        if circle.radius_km < 0:
            raise CapError(f"circle: the radius {circle.radius_km} is below 0")


def _on_earth(name: str, latitude: float, longitude: float) -> None:
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise CapError(f"{name}: {latitude},{longitude} is not latitude,longitude in degrees")


def _one_of(name: str, word: str, words: Iterable[str]) -> None:
    if word not in words:
        raise CapError(f"{name}: {word!r} is none of {', '.join(words)}")


def time_text(at: datetime) -> str:
    """CAP's form of an aware time."""
    text = at.replace(microsecond=0).isoformat()
    return text.removesuffix("+00:00") + "-00:00" if at.utcoffset() == timedelta() else text

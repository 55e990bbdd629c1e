"""CAP 1.2 as XML: `read` and `write`. Pure; the rules stand in hub.cap, the parser's limits in devices.xml_text."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from math import isfinite

from devices.xml_text import Element, escaped, read_xml
from hub.cap import Alert, Area, CapError, Circle, Degrees, Info, Named, Reference, Resource, check, time_text

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
BYTES_MAX = 1_000_000
CERTAINTY_OF_CAP_1_0 = {"Very Likely": "Likely"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")
QUOTED = re.compile(r'"([^"]*)"|(\S+)')  # a list of words; what has blanks stands in quotes


def read(data: bytes) -> Alert:
    """Raises CapError for what is no CAP 1.2 alert, or breaks one of its rules."""
    root = read_xml(data, BYTES_MAX)
    if root is None or (root.namespace, root.name) != (NAMESPACE, "alert"):
        raise CapError(f"no XML document of at most {BYTES_MAX:,} bytes with an alert of CAP 1.2")
    alert = Alert(
        identifier=_needed(root, "identifier"),
        sender=_needed(root, "sender"),
        sent=_time(_needed(root, "sent"), "sent"),
        status=_needed(root, "status"),
        message_type=_needed(root, "msgType"),
        source=_text(root, "source"),
        scope=_needed(root, "scope"),
        restriction=_text(root, "restriction"),
        addresses=_words(_text(root, "addresses")),
        codes=_texts(root, "code"),
        note=_text(root, "note"),
        references=tuple(_reference(text) for text in _text(root, "references").split()),
        incidents=_words(_text(root, "incidents")),
        infos=tuple(_info(one) for one in root.every("info")),
    )
    check(alert)
    return alert


def _info(element: Element) -> Info:
    certainty = _needed(element, "certainty")
    return Info(
        language=_text(element, "language") or "en-US",
        categories=_texts(element, "category"),
        event=_needed(element, "event"),
        responses=_texts(element, "responseType"),
        urgency=_needed(element, "urgency"),
        severity=_needed(element, "severity"),
        certainty=CERTAINTY_OF_CAP_1_0.get(certainty, certainty),
        audience=_text(element, "audience"),
        event_codes=_named(element, "eventCode"),
        effective=_maybe_time(element, "effective"),
        onset=_maybe_time(element, "onset"),
        expires=_maybe_time(element, "expires"),
        sender_name=_text(element, "senderName"),
        headline=_text(element, "headline"),
        description=_text(element, "description"),
        instruction=_text(element, "instruction"),
        web=_text(element, "web"),
        contact=_text(element, "contact"),
        parameters=_named(element, "parameter"),
        resources=tuple(_resource(one) for one in element.every("resource")),
        areas=tuple(_area(one) for one in element.every("area")),
    )


def _resource(element: Element) -> Resource:
    size = _text(element, "size")
    return Resource(
        description=_needed(element, "resourceDesc"),
        mime_type=_needed(element, "mimeType"),
        size=int(_number(size, "size")) if size else None,
        uri=_text(element, "uri"),
        deref_uri="".join(_text(element, "derefUri").split()),
        digest=_text(element, "digest"),
    )


def _area(element: Element) -> Area:
    altitude, ceiling = _text(element, "altitude"), _text(element, "ceiling")
    return Area(
        description=_needed(element, "areaDesc"),
        polygons=tuple(tuple(map(_degrees, text.split())) for text in _texts(element, "polygon")),
        circles=tuple(map(_circle, _texts(element, "circle"))),
        geocodes=_named(element, "geocode"),
        altitude_ft=_number(altitude, "altitude") if altitude else None,
        ceiling_ft=_number(ceiling, "ceiling") if ceiling else None,
    )


def _circle(text: str) -> Circle:
    place, _, radius = text.partition(" ")
    latitude, longitude = _degrees(place)
    return Circle(latitude, longitude, _number(radius.strip(), "circle"))


def _degrees(text: str) -> Degrees:
    latitude, comma, longitude = text.partition(",")
    if not comma:
        raise CapError(f"{text}: a position is latitude,longitude")
    return _number(latitude, "position"), _number(longitude, "position")


def _reference(text: str) -> Reference:
    match text.split(","):
        case [sender, identifier, sent] if sender and identifier:
            return Reference(sender, identifier, _time(sent, "references"))
    raise CapError(f"references: {text} is not sender,identifier,sent")


def _needed(element: Element, name: str) -> str:
    if text := _text(element, name):
        return text
    raise CapError(f"{element.name}: {name} is missing")


def _text(element: Element, name: str) -> str:
    texts = _texts(element, name)
    if len(texts) > 1:
        raise CapError(f"{element.name}: {name} stands more than once")
    return texts[0] if texts else ""


def _texts(element: Element, name: str) -> tuple[str, ...]:
    return tuple(child.text.strip() for child in element.every(name) if child.namespace == NAMESPACE)


def _named(element: Element, name: str) -> tuple[Named, ...]:
    found = [one for one in element.every(name) if one.namespace == NAMESPACE]
    return tuple((_needed(one, "valueName"), _text(one, "value")) for one in found)


def _words(text: str) -> tuple[str, ...]:
    return tuple(quoted or plain for quoted, plain in QUOTED.findall(text))


def _maybe_time(element: Element, name: str) -> datetime | None:
    text = _text(element, name)
    return _time(text, name) if text else None


def _time(text: str, name: str) -> datetime:
    try:
        if TIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise CapError(f"{name}: {text or 'nothing'} is no time such as 2026-01-01T20:15:00+08:00")


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise CapError(f"{name}: {text or 'nothing'} is no number")
    return number


# --- writing -------------------------------------------------------------------------------------


def write(alert: Alert) -> bytes:
    """UTF-8, in the order of the schema; raises CapError like `read`."""
    check(alert)
    parts = [
        _tag("identifier", alert.identifier),
        _tag("sender", alert.sender),
        _tag("sent", time_text(alert.sent)),
        _tag("status", alert.status),
        _tag("msgType", alert.message_type),
        _tag("source", alert.source),
        _tag("scope", alert.scope),
        _tag("restriction", alert.restriction),
        _tag("addresses", _list(alert.addresses)),
        *(_tag("code", code) for code in alert.codes),
        _tag("note", alert.note),
        _tag("references", " ".join(_reference_text(one) for one in alert.references)),
        _tag("incidents", _list(alert.incidents)),
        *(f"<info>{''.join(_info_parts(info))}</info>" for info in alert.infos),
    ]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<alert xmlns="{NAMESPACE}">{"".join(parts)}</alert>\n'.encode()


def _info_parts(info: Info) -> Iterator[str]:
    yield _tag("language", info.language)
    yield from (_tag("category", category) for category in info.categories)
    yield _tag("event", info.event)
    yield from (_tag("responseType", response) for response in info.responses)
    yield _tag("urgency", info.urgency) + _tag("severity", info.severity) + _tag("certainty", info.certainty)
    yield _tag("audience", info.audience)
    yield from _pairs("eventCode", info.event_codes)
    for name, at in (("effective", info.effective), ("onset", info.onset), ("expires", info.expires)):
        yield _tag(name, time_text(at)) if at else ""
    yield _tag("senderName", info.sender_name) + _tag("headline", info.headline)
    yield _tag("description", info.description) + _tag("instruction", info.instruction)
    yield _tag("web", info.web) + _tag("contact", info.contact)
    yield from _pairs("parameter", info.parameters)
    yield from (f"<resource>{_resource_parts(one)}</resource>" for one in info.resources)
    yield from (f"<area>{''.join(_area_parts(one))}</area>" for one in info.areas)


def _resource_parts(one: Resource) -> str:
    size = "" if one.size is None else str(one.size)
    return (
        _tag("resourceDesc", one.description)
        + _tag("mimeType", one.mime_type)
        + _tag("size", size)
        + _tag("uri", one.uri)
        + _tag("derefUri", one.deref_uri)
        + _tag("digest", one.digest)
    )


def _area_parts(area: Area) -> Iterator[str]:
    yield _tag("areaDesc", area.description)
    for polygon in area.polygons:
        yield _tag("polygon", " ".join(f"{latitude!r},{longitude!r}" for latitude, longitude in polygon))
    for circle in area.circles:
        yield _tag("circle", f"{circle.latitude!r},{circle.longitude!r} {circle.radius_km!r}")
    yield from _pairs("geocode", area.geocodes)
    for name, feet in (("altitude", area.altitude_ft), ("ceiling", area.ceiling_ft)):
        yield "" if feet is None else _tag(name, repr(feet))


def _pairs(name: str, pairs: Iterable[Named]) -> Iterator[str]:
    for value_name, value in pairs:
        yield f"<{name}>{_tag('valueName', value_name)}<value>{escaped(value)}</value></{name}>"


def _tag(name: str, text: str) -> str:
    """Nothing for an empty text: an optional element that is not there."""
    return f"<{name}>{escaped(text)}</{name}>" if text else ""


def _list(words: Iterable[str]) -> str:
    return " ".join(f'"{word}"' if " " in word else word for word in words)


def _reference_text(one: Reference) -> str:
    return f"{one.sender},{one.identifier},{time_text(one.sent)}"

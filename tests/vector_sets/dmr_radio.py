"""DMR dispatch data: Hytera HSTRP and HDAP, Motorola LRRP, ARS and TMS, and the numbers of binary XML.

The XML of LRRP documents is the form in which the source library shows them; it is written here, the product reads the
documents only. Two of its peculiarities are kept: an unsolicited report has the name of another document, and numbers
are rounded.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.dom import minidom

from devices.families import dmr_hytera, dmr_lrrp, dmr_motorola
from devices.families.dmr_lrrp import Document, Token
from devices.families.dmr_mbxml import Reader
from devices.family import Message
from tests.vectors import SHARED

SAMPLES = SHARED / "dmr_radio.jsonl"
NETWORK = 10
PORTS = {"motorola_lrrp": 4001, "motorola_ars": 4005, "motorola_tms": 4007}
NUMBERS: dict[str, Callable[[Reader], Any]] = {
    "mbxml_uintvar": Reader.uintvar,
    "mbxml_sintvar": Reader.sintvar,
    "mbxml_ufloatvar": Reader.ufloatvar,
    "mbxml_sfloatvar": Reader.sfloatvar,
    "mbxml_infotime": lambda reader: _stamp(reader.time()),
    "mbxml_latitude": lambda reader: round(reader.latitude(), 6),
    "mbxml_longitude": lambda reader: round(reader.longitude(), 6),
}
ROUNDED = {"latitude": 6, "longitude": 6, "radius_m": 2, "speed-hor": 5, "speed-vrt": 5}
ATTRIBUTES = {
    0x50: {"ret-info-accuracy": "YES"},
    0x51: {"ret-info-accuracy": "YES", "ret-info-time": "YES"},
    0x52: {"ret-info-time": "YES"},
}


def message(line: dict[str, Any]) -> Message:
    port = PORTS.get(line["layer"], 30003)
    return Message(f"udp/{port}/12.0.0.11:{port}", bytes.fromhex(line["frame_hex"]))


def decode(line: dict[str, Any]) -> dict[str, Any]:
    data, layer = bytes.fromhex(line["frame_hex"]), line["layer"]
    if layer in NUMBERS:
        return {"value": NUMBERS[layer](Reader(data))}
    readers = {
        "hytera_hdap": _hdap,
        "hytera_hstrp": _hstrp,
        "hytera_radio_ip": _radio_ip,
        "motorola_lrrp": _lrrp,
        "motorola_ars": lambda raw: dmr_motorola.read_ars(raw) or {"error": "unreadable"},
        "motorola_tms": lambda raw: dmr_motorola.read_tms(raw) or {"error": "unreadable"},
    }
    return readers[layer](data)


def _radio_ip(raw: bytes) -> dict[str, Any]:
    little = raw[0] != NETWORK and raw[-1] == NETWORK  # as radio control (RCP) writes it
    ordered = raw[::-1] if little else raw
    return {
        "ip": dmr_hytera.address(ordered),
        "radio_id": dmr_hytera.radio_id(ordered),
        "subnet": ordered[0],
        "endian": "little" if little else "big",
    }


def _hdap(data: bytes) -> dict[str, Any]:
    messages = dmr_hytera.read_messages(data)
    if messages is None:
        return {"error": "unreadable"}
    first = messages[0]
    found = {
        "reliable": first.reliable,
        "service": dmr_hytera.SERVICES.get(first.service, ""),
        "opcode": f"{first.opcode:04X}",
        "payload_length": len(first.payload),
        "payload_hex": first.payload.hex().upper(),
        "checksum_ok": first.checksum_ok,
        "end_ok": first.end_ok,
        **(dmr_hytera.read_body(first) or {}),
    }
    if found.get("time"):
        found["time"] = found["time"].strftime("%Y-%m-%dT%H:%M:%SZ")
    return found


def _hstrp(data: bytes) -> dict[str, Any]:
    packet = dmr_hytera.read_packet(data)
    if packet is None:
        return {"magic_ok": False}
    bits = {"has_options": 0x20, "reject": 0x10, "close": 8, "connect": 4, "heartbeat": 2, "ack": 1}
    return {
        "magic_ok": True,
        "version": packet.version,
        **{name: bool(packet.type & bit) for name, bit in bits.items()},
        "sequence": packet.sequence,
        "options": packet.options,
        "payload_hex": packet.payload.hex().upper(),
    }


def _lrrp(data: bytes) -> dict[str, Any]:
    document = dmr_lrrp.read_document(data)
    if document is None:
        return {"error": "unreadable"}
    found: dict[str, Any] = {
        "document_id": f"{document.id:02X}",
        "document": _name(document),
        "length": document.length,
        "length_ok": document.length_ok,
        "xml": _xml(document),
        **(dmr_lrrp.shape(document) or {}),
    }
    names = [token.name.removeprefix("request-") for token in document.tokens if token.name.startswith("request-")]
    found["requests"] = [name for name in names if name != "id"]
    for token in document.tokens:
        found |= _field(token)
    return {name: round(value, ROUNDED[name]) if name in ROUNDED else value for name, value in found.items()}


def _field(token: Token) -> dict[str, Any]:
    if token.name == "request-id":
        return {"request_id": token.value.hex().upper()}
    if token.name == "result":
        return {"result_code": token.value["code"], "result_hex": token.value["data"].hex().upper()}
    if token.name == "info-time":
        return {"info_time": _stamp(token.value)}
    if token.name == "direction-hor":
        return {"direction_raw": token.value, "direction_deg": token.value * dmr_lrrp.DIRECTION_STEP_DEG}
    if token.name in ("speed-hor", "speed-vrt"):
        return {token.name.replace("-", "_"): round(token.value, ROUNDED[token.name])}
    return {token.name.replace("-", "_"): token.value} if token.value is not None else {}


def _stamp(time: datetime | None) -> str | None:
    return time.strftime("%Y%m%d%H%M%S") if time else None


# --- the XML ---


def _name(document: Document) -> str:
    return document.name.replace("Unsolicited-Location", "Location-Protocol")


def _xml(document: Document) -> str:
    page = minidom.Document()
    root = page.appendChild(page.createElement(_name(document)))
    for token in document.tokens:
        parent = root
        for name in _path(document, token):
            inner = [child for child in parent.childNodes if child.nodeName == name]
            parent = inner[0] if inner else parent.appendChild(page.createElement(name))
        parent.appendChild(_element(page, token))
    return page.toprettyxml(indent="\t")


def _path(document: Document, token: Token) -> tuple[str, ...]:
    if token.name in ("request-id", "trg-condition", "protocol-version", "periodic-trigger", "oneshot-trigger"):
        return ()
    if token.name == "interval":
        return ("periodic-trigger",)
    if token.name == "result":
        return ("operation-error",) if token.id == 0x39 else ()
    if document.is_request:
        return ("query-info",)
    return ("info-data", "shape") if token.name in dmr_lrrp.SHAPES else ("info-data",)


def _element(page: minidom.Document, token: Token) -> Any:
    element = page.createElement(token.name)
    if token.name == "result":
        element.setAttribute("result-code", str(token.value["code"]))
        text = token.value["data"].hex().upper()
    elif isinstance(token.value, dict):
        names = {"latitude": "lat", "longitude": "long", "radius_m": "radius", "altitude_m": "altitude"}
        for name, value in token.value.items():
            inner = page.createElement(names.get(name, name))
            inner.appendChild(page.createTextNode(str(round(value, ROUNDED.get(name, 10)))))
            element.appendChild(inner)
        return element
    elif isinstance(token.value, bytes):
        text = token.value.hex().upper()
    elif isinstance(token.value, datetime):
        text = _stamp(token.value) or ""
    elif isinstance(token.value, float):
        text = str(round(token.value, ROUNDED.get(token.name, 10)))
    else:
        text = "" if token.value is None else str(token.value)
    for name, value in ATTRIBUTES.get(token.id, {}).items() if token.name == "ret-info" else ():
        element.setAttribute(name, value)
    if text:
        element.appendChild(page.createTextNode(text))
    return element

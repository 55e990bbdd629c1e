"""OSDP: packets, single data fields, and the keys of the secure channel.

`mac` is here what stands in the four bytes before the check, whatever is before them: one vector is a packet too short
for a MAC, which our reader refuses.
"""

from typing import Any

from devices.families import osdp_wire
from devices.families.osdp_secure import Channel
from tests.vectors import SHARED

SAMPLES = SHARED / "osdp.jsonl"


def decode(line: dict[str, Any]) -> dict[str, Any]:
    if line.get("layer") == "secure_channel":
        return _keys(line["frame_json"])
    data = bytes.fromhex(line["frame_hex"])
    if line.get("layer") == "payload":
        return _payload(line, data)
    return _packet(data)


def _keys(given: dict[str, str]) -> dict[str, str]:
    key = bytes.fromhex(given.get("scbk_d") or given["scbk"])
    channel = Channel(key, bytes.fromhex(given["acu_random"]), bytes.fromhex(given["pd_random"]))
    return {
        "s_mac1": channel.s_mac1.hex().upper(),
        "s_mac2": channel.s_mac2.hex().upper(),
        "s_enc": channel.s_enc.hex().upper(),
        "acu_cryptogram": channel.server_cryptogram.hex().upper(),
        "pd_cryptogram": channel.client_cryptogram.hex().upper(),
        "rmac_i": channel.r_mac.hex().upper(),
    }


def _payload(line: dict[str, Any], data: bytes) -> dict[str, Any]:
    """Data alone: of which reply, the vector's expected key or its note says."""
    codes = {name: code for code, name in osdp_wire.REPLIES.items()}
    named = [name for name in codes if _key(name) in line["expect"]]
    names = named or [word for word in line.get("note", "").split() if word in codes]
    return _named(names[0], osdp_wire.read_data(codes[names[0]], True, data)) if names else {}


def _packet(data: bytes) -> dict[str, Any]:
    mark = data[:1] == osdp_wire.MARK
    frame = data.lstrip(osdp_wire.MARK)
    if frame[:1] != bytes((osdp_wire.START,)):
        return {"mark": mark, "error": "no_start"}
    if len(frame) < osdp_wire.FRAME_BYTES_MIN:
        return {"mark": mark, "error": "incomplete"}
    control, length = frame[4], int.from_bytes(frame[2:4], "little")
    found: dict[str, Any] = {
        "mark": mark,
        "address": frame[1] & 0x7F,
        "reply": bool(frame[1] & 0x80),
        "length": length,
        "sequence": control & 3,
        "crc_mode": bool(control & osdp_wire.CRC_BIT),
        "secure_block": bool(control & osdp_wire.SECURE_BIT),
    }
    if length > len(frame):
        return found | {"error": "incomplete"}
    if length < osdp_wire.FRAME_BYTES_MIN:
        return found | {"check_ok": False, "error": "length"}
    frame = frame[:length]
    holds = osdp_wire.check_holds(frame)
    cut = osdp_wire.cut(frame, True)
    assert holds == (cut.frame == frame)
    return found | {"check_ok": holds} | _inside(frame, holds)


def _inside(frame: bytes, holds: bool) -> dict[str, Any]:
    packet = osdp_wire.read_packet(frame)
    if packet is None:
        return _too_short(frame)
    written = osdp_wire.write_packet(packet)
    assert not holds or written == osdp_wire.MARK + frame
    found: dict[str, Any] = {
        "code": f"{packet.code:02X}",
        "name": packet.name,
        "payload_hex": packet.data.hex().upper(),
    }
    if packet.block is not None:
        found |= {"scb_length": len(packet.block) + 1, "scb_type": f"{packet.block[0]:02X}"}
        found |= {"scb_data": packet.block[1:].hex().upper()} if packet.block[1:] else {}
    if packet.secured:
        found["mac"] = packet.mac.hex().upper()
    if packet.encrypted:
        return found | {"payload_encrypted": True}
    return found | _named(packet.name, osdp_wire.read_data(packet.code, packet.reply, packet.data))


def _too_short(frame: bytes) -> dict[str, Any]:
    if not frame[4] & osdp_wire.SECURE_BIT or 5 + frame[5] >= len(frame):
        return {"error": "unreadable"}
    size, check = frame[5], 2 if frame[4] & osdp_wire.CRC_BIT else 1
    code = frame[5 + size]
    names = osdp_wire.REPLIES if frame[1] & 0x80 else osdp_wire.COMMANDS
    found = {"scb_length": size, "scb_type": f"{frame[6]:02X}", "code": f"{code:02X}", "name": names.get(code, "")}
    return found | {"mac": frame[-check - 4 : -check].hex().upper(), "payload_hex": ""}


def _named(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields in the vectors' words: bytes as hex."""
    told: dict[str, Any] = {}
    for key, value in fields.items():
        told |= {f"{key}_hex": value.hex().upper()} if isinstance(value, bytes) else {key: value}
    if name == "NAK":
        return told
    if name == "PDCAP":
        return {"pdcap": told.get("capabilities", [])}
    return {_key(name): told} if told else {}


def _key(name: str) -> str:
    return name.lower()

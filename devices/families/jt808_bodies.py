"""Bodies of JT/T 808 messages other than the location, read into plain values: one reader a message id.

A reader gets the body and the message (whose layout decides some widths) and gives fields, or {} when the body is too
short for its fixed part. Sources: JT/T 808-2019 clause 8, tables of the message ids named below.
"""

from collections.abc import Callable

from devices.families.jt808_wire import Fields, Location, Message, read_location, read_text, read_time

REGISTER_2011_BYTES_MAX = 36
# Widths of maker, model and terminal id in 0x0100.
REGISTER_WIDTHS = {"2011": (5, 8, 7), "2013": (5, 20, 7), "2019": (11, 30, 30)}

Reader = Callable[[bytes, Message], Fields]


def read_batch(body: bytes) -> tuple[int, int, list[Location | None]] | None:
    """0x0704: (count, type, locations as far as their lengths hold); type 1 = kept while there was no network."""
    if len(body) < 3:
        return None
    found: list[Location | None] = []
    at = 3
    while at + 2 <= len(body):
        end = at + 2 + int.from_bytes(body[at : at + 2])
        if end > len(body):
            break
        found.append(read_location(body[at + 2 : end]))
        at = end
    return int.from_bytes(body[:2]), body[2], found


def _answer(body: bytes, message: Message) -> Fields:
    if len(body) < 5:
        return {}
    reply_id = f"0x{int.from_bytes(body[2:4]):04X}"
    return {"reply_serial": int.from_bytes(body[:2]), "reply_id": reply_id, "result": body[4]}


def _register(body: bytes, message: Message) -> Fields:
    layout = "2019" if message.is_2019 else "2011" if len(body) <= REGISTER_2011_BYTES_MAX else "2013"
    maker, model, terminal = REGISTER_WIDTHS[layout]
    end = 4 + maker + model + terminal
    if len(body) < end + 1:
        return {}
    return {
        "province_id": int.from_bytes(body[:2]),
        "city_id": int.from_bytes(body[2:4]),
        "layout": layout,
        "manufacturer_id": read_text(body[4 : 4 + maker]),
        "terminal_model": read_text(body[4 + maker : 4 + maker + model]),
        "terminal_id_registered": read_text(body[4 + maker + model : end]),
        "plate_color": body[end],
        "plate": read_text(body[end + 1 :]),
    }


def _register_answer(body: bytes, message: Message) -> Fields:
    if len(body) < 3:
        return {}
    found: Fields = {"reply_serial": int.from_bytes(body[:2]), "result": body[2]}
    return found | ({"auth_code": read_text(body[3:])} if body[2] == 0 else {})


def _authenticate(body: bytes, message: Message) -> Fields:
    if message.is_2019 and body:
        length = body[0]
        imei, version = body[1 + length : 16 + length], body[16 + length : 36 + length]
        return {
            "auth_code": read_text(body[1 : 1 + length]),
            "imei": read_text(imei),
            "software_version": read_text(version),
        }
    return {"auth_code": read_text(body)}


def _attributes(body: bytes, message: Message) -> Fields:
    maker, model, terminal = (11, 30, 30) if message.is_2019 else (5, 20, 7)
    at = 2 + maker + model + terminal
    if len(body) < at + 11:
        return {}
    found: Fields = {
        "terminal_type": int.from_bytes(body[:2]),
        "manufacturer_id": read_text(body[2 : 2 + maker]),
        "terminal_model": read_text(body[2 + maker : 2 + maker + model]),
        "terminal_id_registered": read_text(body[2 + maker + model : at]),
        "iccid": body[at : at + 10].hex(),
    }
    at += 10
    for name in ("hardware_version", "firmware_version"):
        length = body[at] if at < len(body) else 0
        found[name] = read_text(body[at + 1 : at + 1 + length])
        at += 1 + length
    for name in ("gnss_modules", "comm_modules"):
        if at < len(body):
            found[name] = body[at]
            at += 1
    return found


def _driver_card(body: bytes, message: Message) -> Fields:
    if len(body) < 7:
        return {}
    found: Fields = {"ic_status": body[0], "time": read_time(body[1:7])}
    if len(body) < 9:
        return found
    name_end = 9 + body[8]
    licence_end = name_end + 20
    issuer_length = body[licence_end] if licence_end < len(body) else 0
    issuer_end = licence_end + 1 + issuer_length
    return found | {
        "read_result": body[7],
        "driver_name": read_text(body[9:name_end]),
        "qualification_code": read_text(body[name_end:licence_end]),
        "issuer": read_text(body[licence_end + 1 : issuer_end]),
        "valid_until": body[issuer_end : issuer_end + 4].hex(),
    }


def _parameters(lead: int) -> Reader:
    """(answered serial 2 in 0x0104,) count 1, {id 4, length 1, value}."""

    def read(body: bytes, message: Message) -> Fields:
        if len(body) < lead + 1:
            return {}
        params: list[list[str]] = []
        at = lead + 1
        while at + 5 <= len(body) and at + 5 + body[at + 4] <= len(body):
            end = at + 5 + body[at + 4]
            params.append([body[at : at + 4].hex().upper(), body[at + 5 : end].hex().upper()])
            at = end
        serial = {"reply_serial": int.from_bytes(body[:2])} if lead else {}
        return serial | {"param_count": body[lead], "params": params}

    return read


def _transparent(body: bytes, message: Message) -> Fields:
    return {"transparent_type": body[:1].hex().upper(), "data_hex": body[1:].hex().upper()} if body else {}


def _text(body: bytes, message: Message) -> Fields:
    lead = 2 if message.is_2019 else 1
    return {"text_flag": body[0], "text": read_text(body[lead:])} if len(body) >= lead else {}


def _control(body: bytes, message: Message) -> Fields:
    return {"command": body[0], "parameters": read_text(body[1:])} if body else {}


READERS: dict[int, Reader] = {
    0x0001: _answer,
    0x8001: _answer,
    0x0100: _register,
    0x8100: _register_answer,
    0x0102: _authenticate,
    0x0104: _parameters(2),
    0x8103: _parameters(0),
    0x8105: _control,
    0x0107: _attributes,
    0x0702: _driver_card,
    0x0900: _transparent,
    0x8900: _transparent,
    0x8300: _text,
}


def read_body(message: Message) -> Fields:
    """Fields of a message; {} for an id without reader or a body that is too short."""
    reader = READERS.get(message.id)
    return reader(message.body, message) if reader else {}

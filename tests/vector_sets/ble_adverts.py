"""Advertisements: BTHome service data by its readings' names, other models by the properties that Theengs publishes."""

from typing import Any

from devices.families import ble_bthome
from devices.families.ble_advert import Advert
from devices.families.ble_models import decode as decode_advert
from devices.family import Message
from tests.vectors import SHARED

SAMPLES = SHARED / "ble_adverts.jsonl"
UNSUPPORTED = {
    "ble_adverts-224 Packet Id": "the bytes (00 21) say packet 33; the source's test sent another frame before",
}
ADDRESS = "54:48:E6:8F:80:A5"


def message(line: dict[str, Any]) -> Message:
    if line["layer"] == "bthome_v2":
        return Message(f"{line.get('mac', ADDRESS)}/service/fcd2", bytes.fromhex(line["frame_hex"]))
    given = line["frame_json"]
    name = {"name": given["name"]} if "name" in given else {}
    if "servicedata" in given:
        channel = f"{ADDRESS}/service/{given.get('servicedatauuid', 'fe95')}"
        return Message(channel, bytes.fromhex(given["servicedata"]), name)
    return Message(f"{ADDRESS}/manufacturer", bytes.fromhex(given["manufacturerdata"]), name)


def decode(line: dict[str, Any]) -> dict[str, Any]:
    return _bthome(line) if line["layer"] == "bthome_v2" else _theengs(line["frame_json"])


def _theengs(given: dict[str, str]) -> dict[str, Any]:
    advert = Advert(
        manufacturer=bytes.fromhex(given.get("manufacturerdata", "")),
        service=bytes.fromhex(given.get("servicedata", "")),
        uuid=given.get("servicedatauuid", ""),
        name=given.get("name", ""),
    )
    return decode_advert(advert) or {"error": "unknown model"}


def _bthome(line: dict[str, Any]) -> dict[str, Any]:
    key = bytes.fromhex(line["bindkey"]) if "bindkey" in line else None
    address = bytes.fromhex(line.get("mac", ADDRESS).replace(":", ""))
    packet = ble_bthome.read(bytes.fromhex(line["frame_hex"]), address, key)
    if packet.error:
        return {"error": packet.error, "no_data": True}
    found: dict[str, Any] = {"events": [one.what for one in packet.happened if one.what]}
    names = [one.name for one in packet.readings]
    for number, one in enumerate(packet.readings):
        title = one.name.replace("_", " ").title()
        several = names.count(one.name) > 1
        found[f"{title} {names[: number + 1].count(one.name)}" if several else title] = one.value
    return found

"""Devices: what they are, where they are, what they last said.

An id may hold slashes (a reader is "osdp:gate/7"), and a path is decoded before it is matched: the route of the device
itself takes whatever no other has taken, and stands last.
"""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from devices.dictionary import METRICS
from hub.api_bodies import Device, DeviceWithValues, Value
from hub.api_body import Listed
from hub.api_document import problems
from hub.api_lists import PAGE_ITEMS, Cursor, Limit, Text, answer, everything, key_of, page
from hub.api_parts import Given
from hub.api_problems import Refused
from hub.store import Row, Transaction

router = APIRouter(tags=["devices"])

_PLACED = ("observed_at", "received_at", "accuracy_m", "speed_kmh", "course_deg", "fix")
_OWN = (
    "device family kind name name_zh site zone gateway floor longitude latitude last_seen alarms".split()
)  # in the order of the contract


@router.get("/devices", response_model=Listed[Device])
async def devices(
    parts: Given,
    *,
    site: str | None = None,
    family: str | None = None,
    kind: str | None = None,
    zone: str | None = None,
    limit: Limit = PAGE_ITEMS,
    cursor: Cursor = None,
) -> Response:
    """By device id."""
    after = key_of("devices", cursor, tuple[Text])
    wanted = {"device": None, "site": site, "family": family, "kind": kind, "zone": zone}
    rows = await parts.store.rows("devices_page", **wanted, after=after[0] if after else None, limit=limit + 1)
    return answer(page("devices", rows, limit, lambda row: (row["device"],), _device))


@router.get("/devices/{device:path}/values", response_model=Listed[Value], responses=problems(404))
async def values(device: str, parts: Given) -> Response:
    """The newest value of each metric."""
    async with parts.store.transaction() as tx:
        await known(tx, device)
        rows = await tx.rows("device_values", device=device)
    return answer(everything([_value(row) for row in rows]))


@router.get("/devices/{device:path}", response_model=DeviceWithValues, responses=problems(404))
async def device(device: str, parts: Given) -> Response:
    anything = dict.fromkeys(("site", "family", "kind", "zone", "after"))
    async with parts.store.transaction() as tx:
        row = await tx.row("devices_page", **anything, device=device, limit=1)
        if row is None:
            raise Refused(404, f"there is no device {device}")
        values = await tx.rows("device_values", device=device)
    return answer(_device(row) | {"values": [_value(value) for value in values]})


async def known(tx: Transaction, device: str) -> None:
    """Raises Refused for a device that nobody has heard of."""
    if await tx.row("device_exists", device=device) is None:
        raise Refused(404, f"there is no device {device}")


def unit_of(metric: str) -> str:
    """Empty for a metric of another version."""
    return METRICS[metric].unit if metric in METRICS else ""


def _device(row: Row) -> dict[str, Any]:
    return {key: row[key] for key in _OWN} | {"position": _position(row) if row["placed"] else None}


def _position(row: Row) -> dict[str, Any]:
    place = {"device": row["device"], "longitude": row["at_longitude"], "latitude": row["at_latitude"]}
    return place | {key: row[key] for key in _PLACED} | {"zone": row["at_zone"]}


def _value(row: Row) -> dict[str, Any]:
    return {**row, "unit": unit_of(row["metric"])}

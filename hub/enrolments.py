"""Enrolling devices: a gateway is told at once, by its document "devices", and hears them from their next frame on.

Rules
- A device's name and place stand in `devices` alone, so that the site file and a person write the same ones. What is
  not given stays.
- The enrolment, its step and the document are one transaction. What changes nothing makes neither.
- A gateway has at most ENROLMENTS_MAX: an edge takes no more.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from hub.documents import DEVICES, Documents, Issued
from hub.store import Row, Transaction, jsonb

ENROLMENTS_MAX = 20_000
NOTICES_MAX = 10_000
KNOCKED_WITHIN = timedelta(days=7)
OWN = ("name", "zone", "floor", "longitude", "latitude", "link")


class CannotEnrol(Exception):
    """The text says why."""


class UnknownGateway(CannotEnrol):
    """There is no such gateway, or nothing says which one it is."""


class UnknownZone(CannotEnrol):
    """There is no such zone in the gateway's site."""


async def stranger(tx: Transaction, device: str, gateway: str | None, now: datetime) -> Row | None:
    """As it knocked last, at this gateway or anywhere."""
    keys = {"since": now - KNOCKED_WITHIN, "notices": NOTICES_MAX, "site": None, "limit": 1}
    none = dict.fromkeys(("at", "after_gateway", "after_device"))
    return await tx.row("strangers_page", device=device, gateway=gateway, **keys, **none)


async def enrol(
    tx: Transaction, documents: Documents, device: str, given: Mapping[str, Any], *, actor: str, now: datetime
) -> tuple[str, list[Issued]]:
    """(gateway, documents to publish after the commit). `given`: gateway, and what of OWN is to be so from now on.
    Raises CannotEnrol, StoreError."""
    asked = given.get("gateway")
    knock = await stranger(tx, device, asked, now) if asked is None or "link" not in given else None
    known = knock or (await tx.row("enrolment_newest", device=device) if asked is None else None)
    gateway = await _gateway(tx, asked or (known["gateway"] if known else ""), device)
    name = gateway["gateway"]
    await tx.execute("devices_register", devices=[device], gateways=[name])
    before = await tx.one("device_of_enrolment", gateway=name, device=device)
    if not before["enrolled"] and gateway["enrolled"] >= ENROLMENTS_MAX:
        raise CannotEnrol(f"gateway {name} has {ENROLMENTS_MAX} enrolments, which is all it takes")
    after = {key: given.get(key, before[key]) for key in OWN}
    if knock is not None and "link" not in given and not before["enrolled"]:
        after["link"] = knock["link"]
    changed = {key: value for key, value in after.items() if value != before[key]}
    if changed.get("zone") and await tx.row("zone_in_site", zone=after["zone"], site=gateway["site"]) is None:
        raise UnknownZone(f"there is no zone {after['zone']} in site {gateway['site']}")
    if before["enrolled"] and not changed:
        return name, []
    await tx.execute("device_describe", device=device, **{key: after[key] for key in OWN if key != "link"})
    await tx.execute("enrolment_put", gateway=name, device=device, link=after["link"], actor=actor, now=now)
    action = "change" if before["enrolled"] else "enrol"
    await _step(tx, name, device, action=action, actor=actor, now=now, detail=changed)
    issued = await documents.issue(tx, DEVICES, now, [name])
    for document in issued:
        await tx.execute("enrolment_document", gateway=name, device=device, version=document.version)
    return name, issued


async def withdraw(
    tx: Transaction, documents: Documents, gateway: str, device: str, *, actor: str, now: datetime
) -> list[Issued] | None:
    """The documents to publish after the commit; None when it was not enrolled. Raises StoreError."""
    if not await tx.execute("enrolment_withdraw", gateway=gateway, device=device):
        return None
    await _step(tx, gateway, device, action="withdraw", actor=actor, now=now, detail={})
    return await documents.issue(tx, DEVICES, now, [gateway])


async def _gateway(tx: Transaction, name: str, device: str) -> Row:
    """Locked. Raises CannotEnrol."""
    if not name:
        raise UnknownGateway(f"body gateway: say which one; {device} has knocked at none in the last week")
    gateway = await tx.row("gateway_of_enrolment", gateway=name)
    if gateway is None:
        raise UnknownGateway(f"there is no gateway {name}")
    if gateway["site"] is None:
        raise CannotEnrol(f"gateway {name} belongs to no site: name it in the site file")
    return gateway


async def _step(tx: Transaction, gateway: str, device: str, *, detail: dict[str, Any], **step: Any) -> None:
    await tx.execute("enrolment_step", gateway=gateway, device=device, detail=jsonb(detail), **step)

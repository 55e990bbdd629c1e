"""Devices that people enrol: who knocked, enrol with one call, withdraw, and who did what."""

from typing import Any

import structlog
from fastapi import APIRouter
from fastapi.responses import Response

from hub import clock
from hub.api_body import Listed
from hub.api_document import problems
from hub.api_enrol_bodies import EnrolAsked, Enrolment, EnrolmentStep, Stranger
from hub.api_lists import PAGE_ITEMS, Cursor, Instant, Limit, Number, Text, answer, key_of, page
from hub.api_parts import Given, Whose
from hub.api_problems import Refused
from hub.enrolments import (
    KNOCKED_WITHIN,
    NOTICES_MAX,
    CannotEnrol,
    UnknownGateway,
    UnknownZone,
    enrol,
    withdraw,
)
from hub.store import Row

router = APIRouter(tags=["enrolment"])

log = structlog.get_logger()


@router.get("/strangers", response_model=Listed[Stranger])
async def strangers(
    parts: Given,
    *,
    gateway: str | None = None,
    site: str | None = None,
    limit: Limit = PAGE_ITEMS,
    cursor: Cursor = None,
) -> Response:
    """Devices that knocked at a gateway in the last week and are not enrolled there; who knocked last comes first."""
    after = key_of("strangers", cursor, tuple[Instant, Text, Text]) or (None, None, None)
    place = dict(zip(("at", "after_gateway", "after_device"), after, strict=True))
    wanted = {"gateway": gateway, "site": site, "device": None, "notices": NOTICES_MAX}
    since = clock.now() - KNOCKED_WITHIN
    rows = await parts.store.rows("strangers_page", **wanted, **place, since=since, limit=limit + 1)
    return answer(page("strangers", rows, limit, lambda row: (row["last_seen"], row["gateway"], row["device"]), _same))


@router.get("/enrolments", response_model=Listed[Enrolment])
async def enrolments(
    parts: Given,
    *,
    gateway: str | None = None,
    site: str | None = None,
    limit: Limit = PAGE_ITEMS,
    cursor: Cursor = None,
) -> Response:
    """Devices that people enrolled here, by gateway and device. A gateway's own file may enrol others."""
    after = key_of("enrolments", cursor, tuple[Text, Text]) or (None, None)
    wanted = {"gateway": gateway, "site": site, "device": None, "limit": limit + 1}
    rows = await parts.store.rows("enrolments_page", **wanted, after_gateway=after[0], after_device=after[1])
    return answer(page("enrolments", rows, limit, lambda row: (row["gateway"], row["device"]), _same))


@router.get("/enrolments/steps", response_model=Listed[EnrolmentStep])
async def enrolment_steps(
    parts: Given, *, device: str | None = None, limit: Limit = PAGE_ITEMS, cursor: Cursor = None
) -> Response:
    """Who enrolled, changed and withdrew what, newest first."""
    after = key_of("enrolment_steps", cursor, tuple[Number])
    rows = await parts.store.rows(
        "enrolment_steps_page", device=device, after=after[0] if after else None, limit=limit + 1
    )
    return answer(page("enrolment_steps", rows, limit, lambda row: (row["number"],), _same))


@router.post("/enrolments", response_model=Enrolment, responses=problems(400, 403, 404, 409, 413))
async def enrol_device(asked: EnrolAsked, parts: Given, session: Whose) -> Response:
    """Enrol a device, or change what is said of it; once more changes nothing. Its gateway is told at once: `state` is
    `waiting` until that says that it holds the document, which it does within a second or two when it is online."""
    given = {key: value for key, value in asked if key in asked.model_fields_set and value is not None}
    given.pop("device")
    now = clock.now()
    try:
        async with parts.store.transaction() as tx:
            gateway, issued = await enrol(tx, parts.documents, asked.device, given, actor=session.name, now=now)
            row = await tx.one("enrolments_page", device=asked.device, gateway=gateway, **_anywhere(), limit=1)
    except UnknownGateway as error:
        raise Refused(404, str(error)) from None
    except UnknownZone as error:
        raise Refused(422, f"body zone: {error}") from None
    except CannotEnrol as error:
        raise Refused(409, str(error)) from None
    if issued:
        parts.documents.publish(issued)
        parts.live.publish("enrolments", {"gateway": gateway})
        log.info("device_enrolled", actor=session.name, gateway=gateway, device=asked.device, document=row["document"])
    return answer(row)


@router.delete(
    "/enrolments/{gateway}/{device:path}", status_code=204, response_model=None, responses=problems(403, 404)
)
async def withdraw_device(gateway: str, device: str, parts: Given, session: Whose) -> Response:
    """From its next frame on it is a stranger again. A device that the gateway's own file has stays enrolled there."""
    async with parts.store.transaction() as tx:
        issued = await withdraw(tx, parts.documents, gateway, device, actor=session.name, now=clock.now())
    if issued is None:
        raise Refused(404, f"{device} is not enrolled here for gateway {gateway}")
    parts.documents.publish(issued)
    parts.live.publish("enrolments", {"gateway": gateway})
    log.info("device_withdrawn", actor=session.name, gateway=gateway, device=device)
    return Response(status_code=204)


def _anywhere() -> dict[str, Any]:
    return dict.fromkeys(("site", "after_gateway", "after_device"))


def _same(row: Row) -> Row:
    return row

"""Incidents: the list, one with its log, and what people do with them.

A step names the version that the person looked at (If-Match). The hub changes an incident too, with each new alarm, so
a step may come too late: 412 says so, and the person looks again before deciding.
"""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response

from hub import clock
from hub.api_bodies import Incident, IncidentDetail, PhaseFilter, SeenAsked, StepAsked
from hub.api_body import Listed
from hub.api_document import problems
from hub.api_lists import PAGE_ITEMS, Cursor, Instant, Limit, Number, answer, key_of, page, version_of
from hub.api_parts import Given, Whose
from hub.api_problems import Refused
from hub.casework import IllegalStep, ReasonMissing, StaleVersion, UnknownIncident, take_step
from hub.evidence import NoIncident, make_pack
from hub.incident_view import incident_views
from hub.store import Store

ALARMS_SHOWN_MAX = 1_000  # the newest; the rest is in /events

router = APIRouter(tags=["incidents"])

log = structlog.get_logger()

IncidentNumber = Annotated[int, Path(ge=1, le=2**63 - 1)]
IfMatch = Annotated[str | None, Header(description='the version looked at, quoted: `"3"`')]
ZIP: dict[str, Any] = {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}


@router.get("/incidents", response_model=Listed[Incident])
async def incidents(
    parts: Given,
    *,
    phase: PhaseFilter | None = None,
    site: str | None = None,
    merged: Annotated[bool, Query(description="also those that became part of another")] = False,
    limit: Limit = PAGE_ITEMS,
    cursor: Cursor = None,
) -> Response:
    """Newest opened first."""
    after = key_of("incidents", cursor, tuple[Instant, Number]) or (None, None)
    wanted = {"site": site, "opened_at": after[0], "incident": after[1], "limit": limit + 1}
    async with parts.store.transaction() as tx:
        if phase == "active":
            rows = await tx.rows("incidents_page_active", **wanted)
        else:
            rows = await tx.rows("incidents_page", **wanted, phase=phase, merged=merged)
        shown = await incident_views(tx, [row["incident"] for row in rows[:limit]])
    views = {view["incident"]: view for view in shown}
    return answer(
        page(
            "incidents",
            rows,
            limit,
            lambda row: (row["opened_at"], row["incident"]),
            lambda row: views[row["incident"]],
        )
    )


@router.get("/incidents/{incident}", response_model=IncidentDetail, responses=problems(404))
async def incident(incident: IncidentNumber, parts: Given) -> Response:
    """With its steps and alarms. Reading it marks nothing as seen."""
    return _tagged(await _detail(parts.store, incident))


@router.post(
    "/incidents/{incident}/seen", status_code=204, response_model=None, responses=problems(400, 403, 404, 409, 413)
)
async def seen(incident: IncidentNumber, asked: SeenAsked, parts: Given, session: Whose) -> Response:
    """An operator has it on the screen, with every alarm up to `through`: what came after that is not seen yet. The
    first look after each alarm counts; once more changes nothing. 409: it became part of another."""
    look = {"incident": incident, "through": asked.through, "now": clock.now(), "actor": session.name}
    async with parts.store.transaction() as tx:
        row = await tx.row("incident_merged_into", incident=incident)
        if row is None:
            raise Refused(404, f"there is no incident {incident}")
        if row["merged_into"] is not None:
            raise Refused(409, f"incident {incident} became part of incident {row['merged_into']}")
        first = await tx.execute("incident_look", **look)
    if first:
        log.info("incident_seen", actor=session.name, incident=incident)
    return Response(status_code=204)


@router.post(
    "/incidents/{incident}/steps", response_model=IncidentDetail, responses=problems(400, 403, 404, 409, 412, 413, 428)
)
async def step(
    incident: IncidentNumber, asked: StepAsked, parts: Given, session: Whose, if_match: IfMatch = None
) -> Response:
    """One step by a person. 409: not in this phase, or an alarm is still raised; 412: it has moved on."""
    version = version_of(if_match)
    what = {"actor": session.name, "incident": incident, "action": asked.action}
    try:
        await take_step(
            parts.store,
            parts.live,
            incident,
            asked.action,
            session.name,
            asked.reason,
            asked.isolated,
            version,
            clock.now(),
        )
    except UnknownIncident:
        raise Refused(404, f"there is no incident {incident}") from None
    except StaleVersion as error:
        raise Refused(412, str(error), {"ETag": f'"{error.current}"'}) from None
    except ReasonMissing as error:
        raise Refused(422, f"body reason: {error}") from None
    except IllegalStep as error:
        log.info("step_refused", **what, reason=str(error))
        raise Refused(409, str(error)) from None
    log.info("step", **what, version=version + 1)
    return _tagged(await _detail(parts.store, incident))


@router.get("/incidents/{incident}/evidence", response_class=Response, responses={200: ZIP, **problems(404)})
async def evidence(incident: IncidentNumber, parts: Given, session: Whose) -> Response:
    """A ZIP that proves itself: the hash-chained and signed log, every alarm with its four times, tracks, versions.
    `gridward evidence --verify FILE` checks it."""
    try:
        pack = await make_pack(parts.store, parts.key, incident, session.name, clock.now())
    except NoIncident as error:
        raise Refused(404, str(error)) from None
    log.info("evidence_made", actor=session.name, incident=incident, bytes=len(pack))
    named = {"Content-Disposition": f'attachment; filename="incident-{incident}-evidence.zip"'}
    return Response(pack, headers=named, media_type="application/zip")


async def _detail(store: Store, number: int) -> dict[str, Any]:
    async with store.transaction() as tx:
        views = await incident_views(tx, [number])
        if not views:
            raise Refused(404, f"there is no incident {number}")
        steps = await tx.rows("incident_steps", incident=number)
        alarms = await tx.rows("incident_alarms", incident=number, limit=ALARMS_SHOWN_MAX)
    through = [alarm.pop("through") for alarm in alarms]
    return {**views[0], "steps": steps, "alarms": alarms, "through": through[0] if through else None}


def _tagged(detail: dict[str, Any]) -> Response:
    return answer(detail, headers={"ETag": f'"{detail["version"]}"'})

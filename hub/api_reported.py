"""Positions that a phone, or an integrator's program, reports to the hub itself."""

from datetime import UTC, datetime

import structlog
from fastapi import APIRouter
from fastapi.responses import Response

from devices.observation import Position
from devices.zone_event import PREFIX
from geofences.track import Crossing
from hub import clock
from hub.api_document import problems
from hub.api_lists import answer
from hub.api_parts import Given, Whose
from hub.api_problems import Refused
from hub.api_reported_bodies import PositionsAsked, ReportedEvents
from hub.reported import CannotReport, Report, UnknownDevice

router = APIRouter(tags=["devices"])

log = structlog.get_logger()


@router.post(
    "/devices/{device:path}/positions", response_model=ReportedEvents, responses=problems(400, 403, 404, 409, 413)
)
async def report_positions(device: str, asked: PositionsAsked, parts: Given, session: Whose) -> Response:
    """Of a device of the site file that belongs to no gateway. Answers with what they come to by the site's zones, once
    it is stored. 409: the device belongs to a gateway and reports through that."""
    reports = [
        Report(each.observed_at, Position(**each.model_dump(exclude={"observed_at"}))) for each in asked.positions
    ]
    try:
        told = await parts.reported.report(device, reports, clock.now())
    except UnknownDevice as error:
        raise Refused(404, str(error)) from None
    except CannotReport as error:
        raise Refused(409, str(error)) from None
    log.info("positions_reported", actor=session.name, device=device, count=len(reports), told=len(told))
    return answer({"events": [_event(each) for each in told]})


def _event(crossing: Crossing) -> dict[str, object]:
    at = datetime.fromtimestamp(crossing.at, UTC)
    return {"kind": PREFIX + crossing.kind, "zone": crossing.zone, "at": at, "why": crossing.why}

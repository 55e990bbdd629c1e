"""The bodies of positions that are reported to the hub itself (see hub.api_body)."""

from datetime import datetime
from typing import Annotated, Literal

from devices.observation import LEVEL_MAX, LEVEL_MIN
from hub.api_body import Asked, Field, Instant, Latitude, Longitude, Told

POSITIONS_MAX = 100


class PositionAsked(Asked):
    """WGS-84 degrees. `level`: the floor, when a beacon or a person says so."""

    observed_at: Annotated[Instant, Field(description="one in the future counts as now")]
    longitude: Longitude
    latitude: Latitude
    fix: Literal["gnss", "network", "fixed"] = "gnss"
    accuracy_m: Annotated[float, Field(ge=0, le=100_000, description="holds the true place with 68 %")] | None = None
    altitude_m: Annotated[float, Field(ge=-500, le=20_000)] | None = None
    speed_kmh: Annotated[float, Field(ge=0, le=1_200)] | None = None
    course_deg: Annotated[float, Field(ge=0, le=360)] | None = None
    level: Annotated[int, Field(ge=LEVEL_MIN, le=LEVEL_MAX)] | None = None


class PositionsAsked(Asked):
    positions: Annotated[list[PositionAsked], Field(min_length=1, max_length=POSITIONS_MAX)]


class ReportedEvent(Told):
    kind: Annotated[str, Field(description="zone_entered …: GET /dictionary")]
    zone: str
    at: datetime
    why: str


class ReportedEvents(Told):
    events: list[ReportedEvent]

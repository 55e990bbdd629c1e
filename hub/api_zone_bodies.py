"""The bodies of the API about zones that people draw (see hub.api_body)."""

from datetime import datetime
from typing import Annotated, Any, Literal

from devices.envelope import NAME_PATTERN
from hub.api_bodies import ZoneFeature
from hub.api_body import Asked, Field, Latitude, Longitude, Told, model_validator

TEXT_PATTERN = r"^[^\x00-\x1f]*$"
LINE_POSITIONS_MAX = 10_000
Place = Annotated[tuple[Longitude, Latitude], Field(description="WGS-84, longitude first")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=TEXT_PATTERN)]


class Circle(Asked):
    model_config = Asked.model_config | {"strict": False}  # JSON has no tuples
    centre: Place
    radius_m: Annotated[float, Field(gt=0, le=50_000)]


class CorridorLine(Asked):
    model_config = Asked.model_config | {"strict": False}
    line: Annotated[list[Place], Field(min_length=2, max_length=LINE_POSITIONS_MAX)]
    width_m: Annotated[float, Field(gt=0, le=50_000)]


class ZoneAsked(Asked):
    """One of shape, circle and corridor."""

    name_zh: Name
    name_en: Name
    purpose: Annotated[str, Field(pattern=NAME_PATTERN, description="building, street, gate, flash …")]
    ring: Annotated[int, Field(ge=0, le=100)] = 0
    rules: Annotated[dict[str, Any], Field(description="as [zones.rules] of the site file", default_factory=dict)]
    shape: Annotated[dict[str, Any] | None, Field(description="GeoJSON Polygon or MultiPolygon")] = None
    circle: Circle | None = None
    corridor: CorridorLine | None = None

    @model_validator(mode="after")
    def _is_drawn_once(self) -> "ZoneAsked":
        if sum(each is not None for each in (self.shape, self.circle, self.corridor)) != 1:
            raise ValueError("expected one of shape, circle and corridor")
        return self


class RestoreAsked(Asked):
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class ZoneHeld(Told):
    """How far a gateway is with the site's zones."""

    gateway: str
    online: bool
    issued: Annotated[int, Field(description='newest version of its document "zones"')]
    held: Annotated[int, Field(description="the version that it works by")]
    state: Annotated[Literal["waiting", "held", "refused"], Field(description="refused: see reason")]
    reason: str


class ZonesHeld(Told):
    gateways: list[ZoneHeld]


class ZoneDetail(ZoneFeature):
    warnings: Annotated[list[str], Field(description="of what was just drawn")]
    gateways: list[ZoneHeld]


class ZoneStep(Told):
    number: int
    zone: str
    version: int
    action: Literal["draw", "change", "withdraw", "restore"]
    actor: str
    at: datetime
    before: dict[str, Any] | None
    after: dict[str, Any] | None

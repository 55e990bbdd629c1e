"""The bodies of the API as its OpenAPI document describes them (see hub.api_body)."""

from datetime import datetime
from typing import Annotated, Any, Literal

from devices.envelope import NAME_PATTERN
from hub.api_body import (
    Asked,
    BaseModel,
    ConfigDict,
    Field,
    Instant,
    Latitude,
    Longitude,
    Priority,
    Told,
    model_validator,
)
from hub.config import NAME_CHARS_MAX, PASSWORD_CHARS_MAX
from hub.incidents import ACTIONS_OF_PEOPLE, Phase

REASON_CHARS_MAX = 500
ARGS_CHARS_MAX = 2_000
ACTUATOR_SET = "actuator.set"
TARGET_PATTERN = rf"({NAME_PATTERN})|(^[a-z][a-z0-9_]{{0,31}}:[^\x00-\x1f]{{1,200}}$)"

Action = Literal["acknowledge", "dispatch", "arrive", "resolve", "close", "note"]
PhaseFilter = Literal["active", "open", "acknowledged", "dispatched", "on_scene", "resolved", "closed"]
EventClass = Literal["alarm", "event"]
assert Action.__args__ == ACTIONS_OF_PEOPLE  # type: ignore[attr-defined]
assert PhaseFilter.__args__ == ("active", *Phase)  # type: ignore[attr-defined]


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


class Login(Asked):
    name: Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=r"^[^\x00]*$")]
    password: Annotated[str, Field(min_length=1, max_length=PASSWORD_CHARS_MAX)]


class Me(Told):
    name: str
    display_name: str
    role: str
    expires_at: datetime


class LoggedIn(Me):
    token: Annotated[str, Field(description="for `Authorization: Bearer …`")]


class Site(Told):
    site: str
    name_zh: str
    name_en: str
    time_zone: str
    longitude: Longitude
    latitude: Latitude


class ZoneProperties(Told):
    zone: str
    name_zh: str
    name_en: str
    purpose: str
    ring: Annotated[int, Field(description="0: none; 1 is the innermost of rings round a core")]
    rules: Annotated[dict[str, Any], Field(description="what is told of whoever is in it, without what is by default")]
    source: Annotated[Literal["file", "api"], Field(description="file: the site file alone changes it")]
    version: int


class ZoneFeature(Told):
    type: Literal["Feature"]
    id: Annotated[str, Field(description="the zone")]
    geometry: Annotated[dict[str, Any], Field(description="GeoJSON geometry, WGS-84")]
    properties: ZoneProperties


class Zones(Told):
    type: Literal["FeatureCollection"]
    features: list[ZoneFeature]


class Position(Told):
    """WGS-84 degrees."""

    device: str
    longitude: Longitude
    latitude: Latitude
    observed_at: datetime
    received_at: datetime
    accuracy_m: float | None
    speed_kmh: float | None
    course_deg: float | None
    fix: Annotated[str, Field(description="gnss, network (approximate) or fixed")]
    zone: str | None


class Device(Told):
    device: Annotated[str, Field(description="family:native-id")]
    family: str
    kind: Annotated[str, Field(description="panel, band, vehicle, gateway, device …")]
    name: str
    name_zh: Annotated[str, Field(description="empty where the site file gives none")]
    site: str
    zone: str | None
    gateway: str | None
    floor: str | None
    longitude: Longitude | None
    latitude: Latitude | None
    last_seen: datetime | None
    alarms: Annotated[list[str], Field(description="kinds of the conditions raised now")]
    position: Position | None


class Value(Told):
    metric: str
    component: Annotated[str, Field(description="part of the device, empty for the device itself")]
    value: float
    unit: Annotated[str, Field(description="UCUM")]
    observed_at: datetime


class DeviceWithValues(Device):
    values: list[Value]


class SeriesBucket(Told):
    at: Annotated[datetime, Field(description="where the bucket begins")]
    min: float
    max: float
    mean: float
    count: int


class Series(BaseModel):
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    device: str
    metric: str
    component: str
    unit: str
    start: Annotated[datetime, Field(alias="from")]
    to: datetime
    bucket_s: float
    items: Annotated[list[SeriesBucket], Field(description="oldest first; buckets without a value are left out")]


class Event(Told):
    device: str
    class_: Annotated[EventClass, Field(alias="class")]
    kind: str
    raised: Annotated[bool | None, Field(description="of an alarm: raised or cleared; null of an event")]
    priority: Priority
    component: str
    description: str
    attributes: dict[str, str]
    zone: str | None
    observed_at: datetime
    received_at: datetime
    committed_at: datetime
    late: bool
    incident: int | None
    flags: list[str]
    gateway: str


class Gateway(Told):
    gateway: str
    site: str | None
    online: bool
    version: str
    clock_skew_s: float
    spool_rows: int
    documents: Annotated[dict[str, int], Field(description="name → version that it works by")]
    documents_refused: Annotated[
        dict[str, str], Field(description="name → why the one offered last is not in force there")
    ]
    actuators: Annotated[dict[str, str], Field(description="name → on, off or unknown")]
    state_at: datetime | None


class Condition(Told):
    device: str
    kind: str
    component: str


class Incident(Told):
    incident: int
    site: str | None
    group: str
    kind: str
    priority: Priority
    zone: str | None
    zone_name_zh: str | None
    zone_name_en: str | None
    subject: str
    subject_name: str | None
    subject_name_zh: str | None
    phase: Phase
    opened_at: datetime
    last_alarm_at: datetime
    late: bool
    alarm_count: int
    uncleared: list[Condition]
    previous: Annotated[int | None, Field(description="the closed incident that this one raises again")]
    merged_into: Annotated[
        int | None, Field(description="closed because it turned out to be part of this one: go there")
    ]
    version: Annotated[int, Field(description="number of steps; what If-Match must say")]
    longitude: Longitude | None
    latitude: Latitude | None
    allowed: Annotated[list[Action], Field(description="what people may do now")]


class StepDone(Told):
    number: int
    action: str
    actor: str
    at: datetime
    cause: str
    phase: Phase
    detail: dict[str, Any]


class IncidentAlarm(Told):
    device: str
    kind: str
    raised: bool
    priority: Priority
    component: str
    description: str
    zone: str | None
    observed_at: datetime
    received_at: datetime
    committed_at: datetime
    seen_at: Annotated[datetime | None, Field(description="when an operator first had it on the screen")]
    late: bool


class IncidentDetail(Incident):
    steps: list[StepDone]
    alarms: Annotated[list[IncidentAlarm], Field(description="newest first")]
    through: Annotated[datetime | None, Field(description="what `seen` must say: newest committed_at of its alarms")]


class SeenAsked(Asked):
    through: Annotated[Instant, Field(description="`through` of the incident as it is on the screen")]


class StepAsked(Asked):
    action: Action
    reason: Annotated[str, Field(max_length=REASON_CHARS_MAX, pattern=r"^[^\x00]*$")] = ""
    isolated: Annotated[bool, Field(description="closes though an alarm is still raised: it was isolated")] = False


class CommandAsked(Asked):
    action: Annotated[
        str,
        Field(
            pattern=r"^(actuator\.set|device\.[a-z][a-z_]{0,39})$",
            description="actuator.set, or device. and a command of the device's family",
        ),
    ]
    target: Annotated[str, Field(pattern=TARGET_PATTERN, description="name of the actuator, or id of the device")]
    value: Annotated[
        str,
        Field(
            max_length=ARGS_CHARS_MAX,
            pattern=r"^[^\x00]*$",
            description="on or off; a device's arguments, a JSON object",
        ),
    ]

    @model_validator(mode="after")
    def _fits_together(self) -> "CommandAsked":
        if (self.action == ACTUATOR_SET) == (":" in self.target):
            raise ValueError("target must be an actuator's name for actuator.set, and a device's id for device.…")
        if self.action == ACTUATOR_SET and self.value not in ("on", "off"):
            raise ValueError("value must be on or off")
        return self


class CommandDone(Told):
    nonce: str
    result: Literal["confirmed", "accepted", "refused", "expired", "unanswered"]
    reason: str


class MetricMeaning(Told):
    name: str
    unit: str
    low: float
    high: float
    meaning: str


class AlarmMeaning(Told):
    name: str
    priority: Priority
    group: str
    latching: bool
    meaning: str


class EventMeaning(Told):
    name: str
    priority: Priority
    meaning: str


class Dictionary(Told):
    metrics: list[MetricMeaning]
    alarms: list[AlarmMeaning]
    events: list[EventMeaning]


class Well(BaseModel):
    """Open: each part says of itself what it has to say."""

    ok: bool


class Health(BaseModel):
    status: Literal["ok", "degraded"]
    version: str
    database: Well
    broker: Well
    ingest: dict[str, Any]

"""The bodies of the API about who knocks and who is enrolled (see hub.api_body)."""

from datetime import datetime
from typing import Annotated, Any, Literal

from devices.envelope import NAME_PATTERN
from hub.api_body import Asked, Field, Latitude, Longitude, Told, model_validator

DEVICE_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}:[!-~]{1,64}$"  # what edges, and the site file, take
NAME_OR_NONE = rf"({NAME_PATTERN})|^$"
TEXT_PATTERN = r"^[^\x00-\x1f]*$"


class Stranger(Told):
    gateway: str
    device: Annotated[str, Field(description="family:native-id")]
    family: str
    link: Annotated[str, Field(description="of the gateway, where it knocked last")]
    site: str | None
    first_seen: datetime
    last_seen: Annotated[datetime, Field(description="as the gateway told last; it tells once an hour")]
    frames: Annotated[int, Field(description="refused, as far as told")]
    frame: Annotated[str, Field(description="the beginning of the last one, hexadecimal")]
    said: Annotated[dict[str, str], Field(description="what it says of itself: maker, model, name")]


class EnrolAsked(Asked):
    """What is left out stays as it is; of a device that is new here it is empty."""

    device: Annotated[str, Field(pattern=DEVICE_PATTERN, description="family:native-id")]
    gateway: Annotated[str | None, Field(pattern=NAME_PATTERN, description="left out: where it knocked last")] = None
    link: Annotated[str | None, Field(pattern=NAME_OR_NONE, description="left out: where it knocked last")] = None
    name: Annotated[str | None, Field(min_length=1, max_length=200, pattern=TEXT_PATTERN)] = None
    zone: Annotated[str | None, Field(pattern=NAME_OR_NONE, description="of the gateway's site")] = None
    floor: Annotated[str | None, Field(max_length=50, pattern=TEXT_PATTERN)] = None
    longitude: Longitude | None = None
    latitude: Latitude | None = None

    @model_validator(mode="after")
    def _has_a_place_or_none(self) -> "EnrolAsked":
        if (self.longitude is None) != (self.latitude is None):
            raise ValueError("longitude and latitude belong together")
        return self


class Enrolment(Told):
    gateway: str
    device: str
    family: str
    link: str
    name: str
    zone: str | None
    floor: str | None
    longitude: Longitude | None
    latitude: Latitude | None
    actor: str
    at: datetime
    document: Annotated[int, Field(description='version of the gateway\'s document "devices" that says so')]
    state: Annotated[
        Literal["waiting", "held", "refused"], Field(description="held: the gateway works by it; refused: see reason")
    ]
    reason: Annotated[str, Field(description="of the gateway: docs/asyncapi.yaml, devices_refused")]


class EnrolmentStep(Told):
    number: int
    gateway: str
    device: str
    action: Literal["enrol", "change", "withdraw"]
    actor: str
    at: datetime
    detail: dict[str, Any]

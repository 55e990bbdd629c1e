"""Observation: what one device, or one edge analysis, reported at one instant.

Rules
- Times are aware UTC. `observed_at` is the device's own time; when the device has none, or an impossible one, it equals
  `received_at` and the flag TIME_INVALID says so. A report that the protocol marks as kept by the device and sent later
  has the flag BACKLOG.
- Positions are WGS-84 degrees. "No position" is the absence of a Position, never 0/0.
- `frame_id` is equal for two deliveries of the same report (a device that was not answered sends again), so that the
  edge can answer the second one without storing it. Empty when the protocol gives nothing to tell two reports apart.
- Names of metrics, alarms and events come from `devices.dictionary`; nothing else may appear here.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Literal, NewType

from msgspec import Struct

DeviceId = NewType("DeviceId", str)  # "family:native-id", for example "gbt26875:889"
GatewayId = NewType("GatewayId", str)
SiteId = NewType("SiteId", str)
ZoneId = NewType("ZoneId", str)

TEXT_CHARS_MAX = 500
LEVEL_MIN, LEVEL_MAX = -20, 300
TIME_INVALID, BACKLOG = "time_invalid", "backlog"
NO_ZONE = ZoneId("")


class Telemetry(Struct, frozen=True, tag="telemetry", omit_defaults=True):
    """Measured values of one instant: metric name -> value in the unit that the dictionary gives it.

    No values at all is a sign of life: the device was heard and had nothing to say. `component` as in Alarm.
    """

    values: dict[str, float]
    component: str = ""


class Event(Struct, frozen=True, tag="event", kw_only=True):
    """Something that happened and needs no one to act by itself (an operation record, a login, a reset)."""

    kind: str
    component: str = ""
    attributes: dict[str, str] = {}


class Alarm(Struct, frozen=True, tag="alarm", kw_only=True):
    """A condition raised (or cleared, `raised=False`) on a device or on one `component` of it.

    `component` is the native address inside the device ("" = the device itself), `description` what the device or its
    installer calls that place, at most TEXT_CHARS_MAX characters.
    """

    kind: str
    raised: bool = True
    component: str = ""
    description: str = ""


class Position(Struct, frozen=True, tag="position", kw_only=True):
    """Where the device was. WGS-84 degrees; `fix` is "gnss", "network" (cell or Wi-Fi, approximate) or "fixed".
    `level`: the floor, when a beacon, a barometer with a reference or a person says so, from -20 to 300."""

    longitude: float
    latitude: float
    fix: str = "gnss"
    altitude_m: float | None = None
    accuracy_m: float | None = None
    speed_kmh: float | None = None
    course_deg: float | None = None
    satellites: int | None = None
    level: int | None = None


Body = Telemetry | Event | Alarm | Position


class Observation(Struct, frozen=True, kw_only=True):
    """One row of the contract. `zone` is filled in by the edge's pipeline; flags are short snake_case words."""

    device: DeviceId
    observed_at: datetime
    received_at: datetime
    body: Body
    frame_id: str = ""
    zone: ZoneId = NO_ZONE
    flags: tuple[str, ...] = ()


class Rejected(Struct, frozen=True, kw_only=True):
    """Bytes that were not accepted, and why. `reason` is a constant phrase (safe to count by), `frame` ≤ 64 bytes.

    `device` is set when the frame could be read far enough to name its sender (for example: not enrolled). `said`: what
    that one says of itself ("model", "name"), for whoever is to enrol it.
    """

    reason: str
    frame: bytes = b""
    device: DeviceId | None = None
    said: Mapping[str, str] = {}


CommandOutcome = Literal["accepted", "refused", "confirmed"]


class CommandAnswer(Struct, frozen=True, kw_only=True):
    """What a device said to the command `nonce`: accepted (it will), refused (it will not, `reason` says why in a
    constant phrase), or confirmed (its own sensor shows that it has)."""

    nonce: str
    result: CommandOutcome
    reason: str = ""


Result = Observation | Rejected | CommandAnswer
REJECTED_BYTES_MAX = 64


def rejected(reason: str, frame: bytes, device: DeviceId | None = None, **said: str) -> Rejected:
    own = {name: text for name, text in said.items() if text}
    return Rejected(reason=reason, frame=bytes(frame[:REJECTED_BYTES_MAX]), device=device, said=own)


def digest(*parts: bytes) -> str:
    """16 hex digits that name a report by its bytes; the base of `frame_id` (append ".0", ".1" for several bodies)."""
    state = blake2b(digest_size=8)
    for part in parts:
        state.update(len(part).to_bytes(4, "big"))
        state.update(part)
    return state.hexdigest()

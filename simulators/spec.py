"""The words of a scenario: as they stand in its file (ScenarioFile), and each device and event by itself (Scenario)."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from simulators.device import Seconds

DEVICES_MAX = 10_000
EVENTS_MAX = 100_000

Share = Annotated[float, Meta(ge=0, le=1)]
Many = Annotated[int, Meta(ge=1, le=DEVICES_MAX)]


class DeviceSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """`link`: "" for the family's usual one. `host` and `port`: of the edge or broker, or where the device listens.
    `path`: of the serial line, the folder, or what stands before the paths of a push. `username`, `password`: of the
    broker, or of who asks the device. `source`: the address that datagrams come from."""

    family: str
    id: Annotated[str, Meta(pattern=r"^[!-~]{1,64}$")]
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    settings: dict[str, Any] = {}
    link: str = ""
    path: str = ""
    username: str = ""
    password: str = ""
    source: str = ""

    @property
    def device(self) -> str:
        return f"{self.family}:{self.id}"


class Devices(DeviceSpec, frozen=True, forbid_unknown_fields=True):
    """One device, or `count` of a kind. `port_step`: between the ports of devices that listen. `spread_m`: how far they
    are from the place in the settings."""

    count: Many = 1
    port_step: Annotated[int, Meta(ge=0, le=1_000)] = 0
    spread_m: Annotated[float, Meta(ge=0, le=100_000)] = 0.0


class WorldEvent(Struct, frozen=True, forbid_unknown_fields=True):
    at_s: Seconds
    device: str
    action: str
    args: dict[str, Any] = {}


class Chance(Struct, frozen=True, forbid_unknown_fields=True):
    """`action` happens to `count` devices of `family`, drawn by the seed, at times between. `ids`: how theirs begin."""

    family: str
    action: str
    count: Annotated[int, Meta(ge=1, le=EVENTS_MAX)]
    from_s: Seconds
    to_s: Seconds
    ids: str = ""
    args: dict[str, Any] = {}


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares are chances per frame. `reconnect_every_s`: every device hangs up so often (0 = never), all at once."""

    drop: Share = 0.0
    delay_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    duplicate: Share = 0.0
    garbage: Share = 0.0
    reconnect_every_s: Seconds = 0.0


class ScenarioFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    duration_s: Seconds
    devices: Annotated[tuple[Devices, ...], Meta(min_length=1, max_length=DEVICES_MAX)]
    seed: int = 1
    title: str = ""
    events: Annotated[tuple[WorldEvent, ...], Meta(max_length=EVENTS_MAX)] = ()
    chances: Annotated[tuple[Chance, ...], Meta(max_length=1_000)] = ()
    faults: Faults = Faults()


class Scenario(Struct, frozen=True, kw_only=True):
    """The whole of it: each device and event by itself."""

    duration_s: float
    devices: tuple[DeviceSpec, ...]
    seed: int = 1
    title: str = ""
    events: tuple[WorldEvent, ...] = ()
    faults: Faults = Faults()

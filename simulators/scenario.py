"""Scenario files: which devices there are, what happens in their world and when, and how bad the lines are.

    seed = 1                        # the same seed plays the same scenario
    duration_s = 90
    [[devices]]
    family = "gbt26875"
    id = "889"
    host = "127.0.0.1"
    port = 26875
    settings = { report_every_s = 30 }
    [[events]]
    at_s = 15
    device = "gbt26875:889"
    action = "smoke"
    args = { component = 18 }
    [faults]                        # see simulators/faults.py
    garbage = 0.02

A device, action or setting that does not exist is refused before anything is played; the error names file and key.
The scenario's ground truth (simulators/truth.py) is made by playing it without time and lines.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from simulators import band, panel, terminal
from simulators.device import Seconds, SimulatedDevice

DEVICES_MAX = 10_000
EVENTS_MAX = 100_000
_PLACE = re.compile(r"^(?P<what>.*?) - at `(?P<where>(?:\$|key in \$).*)`$")
BUILDERS: dict[str, Callable[[str, dict[str, Any], int], SimulatedDevice]] = {
    "gbt26875": panel.build,
    "watch": band.build,
    "jt808": terminal.build,
}

Share = Annotated[float, Meta(ge=0, le=1)]


class ScenarioError(Exception):
    """A scenario that cannot be played; the text is the one line to show."""


class DeviceSpec(Struct, frozen=True, forbid_unknown_fields=True):
    family: str
    id: Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{1,20}$")]
    host: str
    port: Annotated[int, Meta(ge=0, le=65535)]
    settings: dict[str, Any] = {}

    @property
    def device(self) -> str:
        return f"{self.family}:{self.id}"


class WorldEvent(Struct, frozen=True, forbid_unknown_fields=True):
    at_s: Seconds
    device: str
    action: str
    args: dict[str, Any] = {}


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares are chances per frame. `reconnect_every_s`: every device hangs up so often (0 = never), all at once."""

    drop: Share = 0.0
    delay_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    duplicate: Share = 0.0
    garbage: Share = 0.0
    reconnect_every_s: Seconds = 0.0


class Scenario(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    duration_s: Seconds
    devices: Annotated[tuple[DeviceSpec, ...], Meta(min_length=1, max_length=DEVICES_MAX)]
    seed: int = 1
    title: str = ""
    events: Annotated[tuple[WorldEvent, ...], Meta(max_length=EVENTS_MAX)] = ()
    faults: Faults = Faults()


def load(path: Path) -> Scenario:
    """Raises ScenarioError."""
    try:
        scenario = msgspec.toml.decode(path.read_bytes(), type=Scenario)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{path}: {_placed(str(error))}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from error
    known: set[str] = set()
    for index, spec in enumerate(scenario.devices):
        build(spec, scenario.seed, f"{path}: devices[{index}]")
        if spec.device in known:
            raise ScenarioError(f"{path}: devices[{index}]: {spec.device} is given twice")
        known.add(spec.device)
    for index, event in enumerate(scenario.events):
        if event.device not in known:
            raise ScenarioError(f"{path}: events[{index}].device: no device {event.device!r} in this scenario")
    return scenario


def build(spec: DeviceSpec, seed: int, where: str = "") -> SimulatedDevice:
    """Raises ScenarioError for a family or settings that do not exist."""
    builder = BUILDERS.get(spec.family)
    if builder is None:
        raise ScenarioError(f"{where}.family: unknown family {spec.family!r}; expected {' or '.join(BUILDERS)}")
    try:
        return builder(spec.id, spec.settings, seed)
    except msgspec.ValidationError as error:
        raise ScenarioError(_placed(str(error), f"{where}.settings")) from error
    except ValueError as error:
        raise ScenarioError(f"{where}.id: {error}") from error


def _placed(text: str, prefix: str = "") -> str:
    """ "Expected `float` <= 1.0 - at `$.faults.drop`" becomes "faults.drop: Expected float ≤ 1.0"."""
    found = _PLACE.match(text)
    what = (found["what"] if found else text).replace("`", "").replace("<=", "≤").replace(">=", "≥")
    where = found["where"].removeprefix("key in ").removeprefix("$").removeprefix(".") if found else ""
    place = ".".join(filter(None, (prefix, where)))
    return f"{place}: {what}" if place else what

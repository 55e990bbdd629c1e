"""Scenario files: which devices there are, what happens in their world and when, and how bad the lines are.

    seed = 1                        # the same seed plays the same scenario
    duration_s = 90
    [[devices]]
    family = "gbt26875"
    id = "889"
    host = "127.0.0.1"
    port = 26875
    settings = { report_every_s = 30 }
    [[devices]]                     # many of a kind: see simulators/crowd.py
    family = "watch"
    count = 200
    id = "88{n:08}"
    port = 26900
    spread_m = 400
    settings = { longitude = 120.4885, latitude = 30.7425, streets = "wuzhen" }   # see simulators/whereabouts.py
    [[events]]
    at_s = 15
    device = "gbt26875:889"
    action = "smoke"
    args = { component = 18 }
    [[chances]]                     # forty of the watches, at times between
    family = "watch"
    action = "sos"
    count = 40
    from_s = 10
    to_s = 80
    [faults]                        # see simulators/faults.py
    garbage = 0.02

A device, action, line or setting that does not exist is refused before anything is played; the error names file and
key. `link` is how the device is connected, where its family knows several ways (simulators/lines.py).
The scenario's ground truth (simulators/truth.py) is made by playing it without time and lines.
"""

import re
from pathlib import Path
from typing import Any

import msgspec

from simulators import crowd
from simulators.families import SIMULATORS
from simulators.spec import DEVICES_MAX, Devices, DeviceSpec, Scenario, ScenarioFile

_PLACE = re.compile(r"^(?P<what>.*?) - at `(?P<where>(?:\$|key in \$).*)`$")


class ScenarioError(Exception):
    """A scenario that cannot be played; the text is the one line to show."""


def load(path: Path) -> Scenario:
    """Raises ScenarioError."""
    try:
        file = msgspec.toml.decode(path.read_bytes(), type=ScenarioFile)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{path}: {_placed(str(error))}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from error
    known: dict[str, DeviceSpec] = {}
    for index, given in enumerate(file.devices):
        where = f"{path}: devices[{index}]"
        for spec in _members(given, where, file.seed):
            build(spec, file.seed, where)
            if spec.device in known:
                raise ScenarioError(f"{where}: {spec.device} is given twice")
            known[spec.device] = spec
    if len(known) > DEVICES_MAX:
        raise ScenarioError(f"{path}: devices: {len(known)}, more than {DEVICES_MAX}")
    for index, event in enumerate(file.events):
        if event.device not in known:
            raise ScenarioError(f"{path}: events[{index}].device: no device {event.device!r} in this scenario")
    devices = tuple(known.values())
    try:
        drawn = crowd.drawn(file.chances, devices, file.seed)
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}") from error
    return Scenario(
        duration_s=file.duration_s,
        devices=devices,
        seed=file.seed,
        title=file.title,
        events=(*file.events, *drawn),
        faults=file.faults,
    )


def _members(given: Devices, where: str, seed: int) -> list[DeviceSpec]:
    try:
        return crowd.members(given, seed)
    except ValueError as error:
        raise ScenarioError(f"{where}.{error}") from error


def build(spec: DeviceSpec, seed: int, where: str = "") -> Any:
    """The device, as its family's lines want it; raises ScenarioError for a family, line or settings that do not
    exist."""
    simulator = SIMULATORS.get(spec.family)
    if simulator is None:
        raise ScenarioError(f"{where}.family: unknown family {spec.family!r}; expected {' or '.join(SIMULATORS)}")
    if spec.link and spec.link not in simulator.links:
        raise ScenarioError(
            f"{where}.link: {spec.family} knows no {spec.link!r}; expected {' or '.join(simulator.links)}"
        )
    try:
        return simulator.build(spec.id, spec.settings, seed)
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

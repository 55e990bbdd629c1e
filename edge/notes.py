"""What an edge file may say and seldom means: `--check` notes it, and nothing is refused for it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from devices.family import AnyFamily
from edge.config import Config, Device, GpioFile


def notes(config: Config, families: Mapping[str, AnyFamily]) -> Iterator[str]:
    """One line each."""
    listening = {link.family for link in config.links}
    for index, device in enumerate(config.devices):
        yield from _device(f"devices[{index}]", device, families, listening)
    for index, actuator in enumerate(config.actuators):
        if isinstance(actuator, GpioFile) and not Path(actuator.path).parent.is_dir():
            yield f"actuators[{index}].path: there is no folder {Path(actuator.path).parent}"
    if config.broker.username not in ("", config.gateway):
        yield (
            f"broker.username: {config.broker.username} is not the gateway's name, {config.gateway}: "
            "rights made as docs/install.md says refuse it"
        )
    known = {device.zone for device in config.devices}
    known |= {component.zone for device in config.devices for component in device.components}
    # Legal: the hub may draw such a zone for devices that move.
    for zone in sorted({zone for rule in config.rules for zone in rule.when.zones} - known):
        yield f"no device is in zone {zone}, which a rule names"


def _device(where: str, device: Device, families: Mapping[str, AnyFamily], listening: set[str]) -> Iterator[str]:
    name, _, native_id = device.id.partition(":")
    family = families[name]
    if name not in listening:
        yield f"{where}: no link of family {name} can hear {device.id}"
    if family.native_id_pattern and not re.fullmatch(family.native_id_pattern, native_id, re.ASCII):
        yield f"{where}.id: {native_id} is no id of {name}: {family.native_id}"

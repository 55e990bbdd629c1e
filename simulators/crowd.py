"""Many devices in a few lines of a scenario, and what happens to some of them. Pure, drawn by the scenario's seed.

In `id`, `path`, `source` and the texts of the settings, `{n}` is the number of the device, from 1, written as Python's
format says: `{n:04}` is 0007, `{n:x}` hexadecimal. Whole numbers are texts in the settings, too: "={n}". `port_step`
moves the port from device to device, `spread_m` the place.
"""

import math
import random
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from simulators.device import METRES_PER_DEGREE
from simulators.spec import Chance, Devices, DeviceSpec, WorldEvent

PORT_MAX = 65_535


def members(given: Devices, seed: int) -> list[DeviceSpec]:
    """Raises ValueError, which begins with the key."""
    fields = {name: getattr(given, name) for name in DeviceSpec.__struct_fields__}
    if given.port + given.port_step * (given.count - 1) > PORT_MAX:
        raise ValueError(f"count: there are no ports above {PORT_MAX}")
    chance = random.Random(f"{seed}/crowd/{given.family}/{given.id}")
    found = []
    for number in range(1, given.count + 1):
        said = {key: _written(fields[key], key, number) for key in ("id", "path", "source", "settings")}
        said["port"] = given.port + given.port_step * (number - 1)
        if given.spread_m:
            said["settings"] = _moved(said["settings"], given.spread_m, chance)
        found.append(structs.replace(DeviceSpec(**fields), **said))
    return found


def drawn(chances: Sequence[Chance], devices: Sequence[DeviceSpec], seed: int) -> list[WorldEvent]:
    """Raises ValueError, which begins with the key."""
    found = []
    for index, chance in enumerate(chances):
        of_family = [spec for spec in devices if spec.family == chance.family]
        names = [spec.device for spec in of_family if spec.id.startswith(chance.ids)]
        if not names:
            raise ValueError(f"chances[{index}].family: no such devices of family {chance.family!r} in this scenario")
        if chance.to_s < chance.from_s:
            raise ValueError(f"chances[{index}].to_s: before from_s")
        dice = random.Random(f"{seed}/chance/{index}")
        picked = dice.sample(names, min(chance.count, len(names)))
        picked += dice.choices(names, k=chance.count - len(picked))
        found += [
            WorldEvent(round(dice.uniform(chance.from_s, chance.to_s), 1), name, chance.action, chance.args)
            for name in picked
        ]
    return found


def _written(value: Any, key: str, number: int) -> Any:
    if isinstance(value, dict):
        return {name: _written(item, key, number) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(item, key, number) for item in value]
    if not isinstance(value, str) or "{n" not in value:
        return value
    try:
        text = value.format(n=number)
        return int(text[1:]) if text.startswith("=") else text
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{key}: {value!r} cannot be written with a number: {error}") from error


def _moved(settings: dict[str, Any], spread_m: float, chance: random.Random) -> dict[str, Any]:
    if "longitude" not in settings or "latitude" not in settings:
        raise ValueError("spread_m: the settings need longitude and latitude")
    east, north = chance.uniform(-spread_m, spread_m), chance.uniform(-spread_m, spread_m)
    latitude = settings["latitude"] + north / METRES_PER_DEGREE
    metres_east = METRES_PER_DEGREE * math.cos(math.radians(latitude))
    return {
        **settings,
        "longitude": round(settings["longitude"] + east / metres_east, 6),
        "latitude": round(latitude, 6),
    }

"""The registry of families: names you can read, one line each.

A family is `FAMILY` of the module of its name beside this file. The module is imported when its family is first asked
for, so that an agent loads the protocols its own file names and no others. To add one: its module, its line here (in
the order of the alphabet), a good report in tests/devices/frames.py or messages.py, and `make docs`.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module

from devices.family import AnyFamily

NAMES = (
    "aprs",
    "ble",
    "cot",
    "dahua",
    "dmr",
    "frigate",
    "gat1400",
    "gbt26875",
    "hikvision",
    "hikvision_push",
    "jt808",
    "lorawan",
    "mapped",
    "meokon",
    "modbus",
    "nmea",
    "onvif",
    "osdp",
    "senml",
    "sia_dc09",
    "tetra",
    "watch",
    "zigbee2mqtt",
)


class Families(Mapping[str, AnyFamily]):
    """Name -> family. Names can be listed and looked for without an import; only taking a family is one."""

    def __getitem__(self, name: str) -> AnyFamily:
        if name not in NAMES:
            raise KeyError(name)
        family: AnyFamily = import_module(f"devices.families.{name}").FAMILY
        return family

    def __contains__(self, name: object) -> bool:
        return name in NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


FAMILIES = Families()

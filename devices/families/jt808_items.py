"""What the items of a JT/T 808 location measure, and what vendors mean by theirs: data that an installer writes.

    E4 02 00 63                          item E4: charger 1, battery % 1
    EB 2D 00 0C 00 B2 … 00 03 00 A8 5C   item EB: {length 2 (of what follows), type 2, value}: A8 is battery %

The same number is a battery at one maker, a voltage at another: none is read unless the installer names it.
"""

from collections.abc import Iterator
from struct import Struct as Packer
from typing import Annotated

from msgspec import Meta, Struct

from devices.dictionary import METRICS, in_range
from devices.families.jt808_wire import Location

METRIC_OF_ITEM = {
    "mileage_km": "mileage_km",
    "fuel_l": "fuel_l",
    "recorder_speed_kmh": "recorder_speed_kmh",
    "cabin_temperature_c": "cabin_temperature_c",
    "network_signal": "cell_signal_level",
    "vehicle_signals": "vehicle_signals",
    "io_status": "vehicle_io_status",
    "analog_0": "vehicle_analog_0",
    "analog_1": "vehicle_analog_1",
    "gnss_satellites": "gnss_satellites",
}
_INNER = Packer(">HH")
Place = Annotated[int, Meta(ge=0, le=255)]


class Item(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value of a vendor's item: (raw * scale + offset) as `metric`. `id`: of the item, as 0xE4 or 228; `inner`:
    type within an item that holds others. `at`, `bytes`: where in its value."""

    id: Annotated[int, Meta(ge=0, le=255)]
    metric: str
    inner: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    at: Place = 0
    bytes: Annotated[int, Meta(ge=1, le=4)] = 1
    signed: bool = False
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"no metric {self.metric!r}: see docs/dictionary.md")


Items = Annotated[tuple[Item, ...], Meta(max_length=50)]


def measured(location: Location, items: tuple[Item, ...]) -> dict[str, float]:
    found = {METRIC_OF_ITEM[name]: value for name, value in location.values.items() if name in METRIC_OF_ITEM}
    for item in items:
        for raw in _values(location, item):
            if len(part := raw[item.at : item.at + item.bytes]) == item.bytes:
                found[item.metric] = int.from_bytes(part, signed=item.signed) * item.scale + item.offset
    return {metric: value for metric, value in found.items() if in_range(metric, value)}


def _values(location: Location, item: Item) -> Iterator[bytes]:
    for id_, raw in location.items:
        if id_ == item.id:
            yield from (raw,) if item.inner is None else _inner(raw, item.inner)


def _inner(raw: bytes, wanted: int) -> Iterator[bytes]:
    at = 0
    while at + _INNER.size <= len(raw):
        length, kind = _INNER.unpack_from(raw, at)
        if kind == wanted:
            yield raw[at + _INNER.size : at + 2 + length]
        at += 2 + max(length, 2)

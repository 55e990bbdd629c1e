"""Register maps: where in a Modbus unit a measurement or an alarm is. Data, not code; an installer writes more of them.

MAPS are those of common sensors. Two are marked: `pzem_004t` and `xy_md02` are widely documented, `renke_smoke` was not
verified against a manual. The safest way to connect a conventional detector is its relay on a module of dry contacts:
`contacts_4`. Maps in manuals count from 0 or from 1, and 40001 is holding register 0: here addresses count from 0.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from devices.dictionary import ALARMS, METRICS
from devices.families.modbus_wire import WORDS

Register = Annotated[int, Meta(ge=0, le=65_535)]
Table = Literal["holding", "input", "coil", "discrete"]
BIT_TABLES = frozenset({"coil", "discrete"})
SENSOR_MISSING = (0x7FFF, 0x8000, 0xFFFF)


class Point(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value. Either `metric`: (raw * scale + offset) is measured, raw values in `missing` are no measurement. Or
    `alarm`: raised while the raw value is in `raised_at`; with `bit`, while that bit of the register is set (or, with
    `inverted`, is not: a closed contact that opens)."""

    table: Table = "holding"
    address: Register
    type: Literal["u16", "s16", "u32", "s32", "f32"] = "u16"
    order: Literal["abcd", "cdab", "badc", "dcba"] = "abcd"
    metric: str = ""
    scale: float = 1.0
    offset: float = 0.0
    missing: Annotated[tuple[int, ...], Meta(max_length=16)] = SENSOR_MISSING
    alarm: str = ""
    raised_at: Annotated[tuple[int, ...], Meta(max_length=64)] = (1,)
    bit: Annotated[int, Meta(ge=0, le=15)] | None = None
    inverted: bool = False
    component: Annotated[str, Meta(max_length=64)] = ""

    def __post_init__(self) -> None:
        if bool(self.metric) == bool(self.alarm):
            raise ValueError("a point is either a metric or an alarm")
        if self.metric and self.metric not in METRICS:
            raise ValueError(f"no metric {self.metric!r}: see docs/dictionary.md")
        if self.alarm and self.alarm not in ALARMS:
            raise ValueError(f"no alarm {self.alarm!r}: see docs/dictionary.md")
        if self.address + self.words > 65_536:
            raise ValueError(f"address {self.address} leaves no room for {self.type}")

    @property
    def words(self) -> int:
        """Registers, or bits of a bit table."""
        return 1 if self.table in BIT_TABLES else WORDS[self.type]


Points = Annotated[tuple[Point, ...], Meta(min_length=1, max_length=200)]

MAPS: dict[str, tuple[Point, ...]] = {
    "jxct_th": (
        Point(address=0, metric="humidity_percent", scale=0.1),
        Point(address=1, type="s16", metric="temperature_c", scale=0.1),
    ),
    "jxbs_co": (Point(address=6, metric="co_ppm", scale=0.1),),
    "xy_md02": (
        Point(table="input", address=1, type="s16", metric="temperature_c", scale=0.1),
        Point(table="input", address=2, metric="humidity_percent", scale=0.1),
    ),
    "pzem_004t": (
        Point(table="input", address=0, metric="voltage_v", scale=0.1),
        Point(table="input", address=1, type="u32", order="cdab", metric="current_a", scale=0.001, missing=()),
        Point(table="input", address=3, type="u32", order="cdab", metric="power_w", scale=0.1, missing=()),
    ),
    "renke_smoke": (Point(address=3, alarm="smoke"),),
    "contacts_4": tuple(
        Point(table="discrete", address=address, alarm="fire" if address < 3 else "fault", component=f"input-{address}")
        for address in range(4)
    ),
}

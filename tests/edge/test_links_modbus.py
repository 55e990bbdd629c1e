"""Modbus links with a real unit (pymodbus' server): what it holds is told, a unit that is away costs itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from structlog.testing import capture_logs

from devices.families import modbus
from devices.observation import Alarm, Telemetry
from edge.links_modbus import ModbusLink
from edge.modbus_units import Bus
from simulators.modbus_unit import ModbusUnit
from tests.edge.site import until
from tests.edge.wired import Behind, behind

SMOKE = {"unit": 1, "device": "smoke-1", "map": "renke_smoke"}
CLIMATE = {"unit": 1, "device": "climate-1", "map": "jxct_th"}
ABSENT = {"unit": 1, "device": "contacts-1", "map": "contacts_4"}


@asynccontextmanager
async def link(made: Behind, port: int, *units: dict[str, Any]) -> AsyncIterator[ModbusLink]:
    settings = msgspec.convert({"units": units}, modbus.Settings)
    wiring = made.wiring(settings, *(unit["device"] for unit in units))
    found = ModbusLink(wiring, modbus.FAMILY, Bus.over_tcp("127.0.0.1", port, 0.5), period_s=0.05)
    await found.open()
    try:
        yield found
    finally:
        found.stop_reading()
        await found.close()


def alarms(made: Behind) -> list[tuple[str, str, bool]]:
    return [
        (row.device, row.body.kind, row.body.raised)
        for row in made.rows()
        if isinstance(row.body, Alarm) and row.body.raised
    ]


async def test_a_smoke_sensor_and_its_neighbours_are_read(tmp_path: Path) -> None:
    async with ModbusUnit() as unit, behind(tmp_path) as made:
        unit.holding[:2] = [658, 65_435]
        async with link(made, unit.port, SMOKE, CLIMATE, ABSENT) as found:

            def values() -> dict[str, float]:
                bodies = [row.body for row in made.rows("routine") if row.device == "modbus:climate-1"]
                return {
                    key: value for body in bodies if isinstance(body, Telemetry) for key, value in body.values.items()
                }

            await until(lambda: values() == {"humidity_percent": 65.8, "temperature_c": -10.1}, "measured")
            assert alarms(made) == [] and found.connections == 1
            unit.holding[3], unit.discrete[2] = 1, True
            await until(lambda: len(alarms(made)) == 2, "raised")
            assert set(alarms(made)) == {("modbus:smoke-1", "smoke", True), ("modbus:contacts-1", "fire", True)}


async def test_an_alarm_that_the_disk_refused_is_told_again(tmp_path: Path) -> None:
    async with ModbusUnit() as unit, behind(tmp_path) as made, link(made, unit.port, SMOKE) as found:
        await until(lambda: found.connections, "read")
        made.disk_full(True)
        unit.holding[3] = 1
        await until(lambda: made.spool.failing, "the disk refuses")
        made.disk_full(False)
        await until(lambda: alarms(made), "raised")


async def test_a_unit_that_is_away_is_lost_and_found_once(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with ModbusUnit() as unit, behind(tmp_path) as made, link(made, unit.port, SMOKE) as found:
            await until(lambda: found.connections, "read")
            unit.silent = True
            await until(lambda: not found.connections, "lost")
            unit.silent = False
            unit.refusing = True
            await until(lambda: len([line for line in logs if line["event"] == "unit_lost"]) == 1, "told")
            unit.refusing = False
            unit.holding[3] = 1
            await until(lambda: alarms(made), "read again")
    assert [line["event"] for line in logs if line["event"].startswith("unit_")] == ["unit_lost", "unit_recovered"]


async def test_one_unit_that_is_away_does_not_hide_another(tmp_path: Path) -> None:
    away = {"unit": 2, "device": "away-1", "map": "jxbs_co"}
    async with ModbusUnit() as unit, behind(tmp_path) as made, link(made, unit.port, away, SMOKE):
        unit.holding[3] = 1
        await until(lambda: alarms(made) == [("modbus:smoke-1", "smoke", True)], "raised")


async def test_an_answer_that_cannot_be_read_costs_its_own_unit(tmp_path: Path) -> None:
    odd = {"unit": 2, "device": "odd-1", "map": "jxbs_co"}

    class Stumbling(Bus):
        def read(self, unit: int, table: str, address: int, count: int) -> bytes:
            if unit == 2:
                raise IndexError("as pymodbus may over a short answer")
            return super().read(unit, table, address, count)

    async with ModbusUnit() as unit, behind(tmp_path) as made:
        settings = msgspec.convert({"units": [odd, SMOKE]}, modbus.Settings)
        bus = Stumbling.over_tcp("127.0.0.1", unit.port, 0.5)
        found = ModbusLink(made.wiring(settings, "odd-1", "smoke-1"), modbus.FAMILY, bus, period_s=0.05)
        await found.open()
        unit.holding[3] = 1
        await until(lambda: alarms(made) == [("modbus:smoke-1", "smoke", True)], "raised")
        found.stop_reading()
        await found.close()

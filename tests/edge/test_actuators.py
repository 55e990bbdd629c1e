"""Actuators with a real effect: a file, and a coil of a real Modbus TCP server."""

import asyncio
from pathlib import Path

import pytest

from edge import actuators as actuators_module
from edge.actuators import Actuators
from edge.config import GpioFile, ModbusCoil
from edge.rules import Act
from simulators.modbus_unit import ModbusUnit
from tests.edge.site import until

ON, OFF = Act("siren", True, "rule r"), Act("siren", False, "rule r")
COIL = 3
READ_COILS, WRITE_COIL = 1, 5


class Told:
    def __init__(self) -> None:
        self.acts: list[tuple[bool, str]] = []

    def __call__(self, act: Act, error: str) -> None:
        self.acts.append((act.on, error))

    @property
    def errors(self) -> list[str]:
        return [error for _, error in self.acts]


def coil(port: int) -> ModbusCoil:
    return ModbusCoil(name="siren", host="127.0.0.1", port=port, coil=COIL, timeout_s=0.3)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(actuators_module), "RETRY_S", 0.0)


async def turns() -> None:
    """Long enough for a retry, if there were one."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_file_is_written_at_once_and_what_it_reads_is_the_state(tmp_path: Path) -> None:
    told, path = Told(), tmp_path / "siren"
    driven = Actuators([GpioFile(name="siren", path=str(path))], told)
    assert driven.states == {"siren": "unknown"}
    driven.drive(ON)
    assert path.read_text() == "1", "before anything else happens"
    await until(lambda: told.acts, "told")
    driven.drive(OFF)
    await until(lambda: len(told.acts) == 2, "told")
    assert told.acts == [(True, ""), (False, "")] and path.read_text() == "0" and driven.states == {"siren": "off"}


async def test_a_file_that_does_not_take_it_is_tried_until_it_does(tmp_path: Path) -> None:
    told, path = Told(), tmp_path / "siren"
    path.mkdir()
    driven = Actuators([GpioFile(name="siren", path=str(path))], told)
    driven.drive(ON)
    await until(lambda: told.acts, "told")
    assert "directory" in told.errors[0] and driven.states == {"siren": "unknown"}
    path.rmdir()
    await until(lambda: len(told.acts) == 2, "told of the success, and of nothing in between")
    assert told.errors[1] == "" and path.read_text() == "1" and driven.states == {"siren": "on"}


async def test_what_is_wanted_later_ends_the_trying(tmp_path: Path) -> None:
    told, path = Told(), tmp_path / "siren"
    path.mkdir()
    driven = Actuators([GpioFile(name="siren", path=str(path))], told)
    driven.drive(ON)
    await until(lambda: told.acts, "failed once")
    path.rmdir()
    driven.drive(OFF)
    await until(lambda: told.acts[-1] == (False, ""), "off")
    await turns()
    assert path.read_text() == "0" and len(told.acts) == 2


async def test_a_file_that_reads_otherwise_is_a_failure() -> None:
    told = Told()
    Actuators([GpioFile(name="siren", path="/dev/null")], told).drive(ON)
    await until(lambda: told.acts, "told")
    assert told.errors == ["/dev/null reads '' after '1' was written"]


async def test_a_coil_is_switched_and_read_back() -> None:
    told = Told()
    async with ModbusUnit() as unit:
        driven = Actuators([coil(unit.port)], told)
        driven.drive(ON)
        await until(lambda: told.acts, "told")
        driven.drive(OFF)
        await until(lambda: len(told.acts) == 2, "told")
        assert told.acts == [(True, ""), (False, "")] and unit.switched == [(COIL, True), (COIL, False)]
        assert driven.states == {"siren": "off"}
        await asyncio.to_thread(driven.close)


@pytest.mark.parametrize(
    ("fault", "error"), [("stuck", "does not read back"), ("refusing", "unit refuses"), ("silent", "No response")]
)
async def test_a_coil_that_does_not_move_is_told_once_and_tried_until_it_does(fault: str, error: str) -> None:
    told = Told()
    async with ModbusUnit() as unit:
        setattr(unit, fault, True)
        driven = Actuators([coil(unit.port)], told)
        driven.drive(ON)
        await until(lambda: told.acts, "told")
        assert error in told.errors[0] and driven.states == {"siren": "unknown"}
        setattr(unit, fault, False)
        await until(lambda: unit.coil(COIL) and driven.states == {"siren": "on"}, "on at last")
        assert told.acts[1:] == [(True, "")]
        await asyncio.to_thread(driven.close)


async def test_a_unit_that_is_away_delays_nothing_and_gets_the_newest_wish_when_it_is_back() -> None:
    told = Told()
    async with ModbusUnit() as unit:
        port = unit.port
    driven = Actuators([coil(port)], told)
    driven.drive(ON)
    await until(lambda: told.acts, "told")
    assert told.errors == ["no connection to the unit"]
    driven.drive(OFF)
    driven.drive(ON)
    async with ModbusUnit(port=port) as unit:
        await until(lambda: driven.states == {"siren": "on"}, "on at last")
        assert unit.coil(COIL) and (COIL, False) not in unit.switched[-1:]
        await asyncio.to_thread(driven.close)


async def test_a_command_is_tried_once() -> None:
    told, answers = Told(), []
    async with ModbusUnit() as unit:
        unit.refusing = True
        driven = Actuators([coil(unit.port)], told)
        driven.drive(ON, answers.append)
        await until(lambda: answers, "answered")
        unit.refusing = False
        await turns()
        assert "refuses" in answers[0] and unit.switched == [] and len(answers) == 1
        await asyncio.to_thread(driven.close)


async def test_a_command_that_fails_does_not_end_what_a_rule_wants() -> None:
    told, answers = Told(), []
    async with ModbusUnit() as unit:
        port = unit.port
    driven = Actuators([coil(port)], told)
    driven.drive(ON)
    await until(lambda: told.acts, "told")
    driven.drive(OFF, answers.append)
    await until(lambda: answers, "answered")
    assert answers == ["no connection to the unit"]
    async with ModbusUnit(port=port) as unit:
        await until(lambda: driven.states == {"siren": "on"}, "the rule's wish at last")
        assert unit.switched == [(COIL, True)]
        await asyncio.to_thread(driven.close)


async def test_a_unit_that_answers_no_bits_is_a_failure_and_the_thread_goes_on() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(260):
            body = request[6:12] if request[7] == WRITE_COIL else request[6:7] + bytes([READ_COILS, 0])
            writer.write(request[:4] + len(body).to_bytes(2, "big") + body)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    told, answers = Told(), []
    driven = Actuators([coil(server.sockets[0].getsockname()[1])], told)
    for number in (1, 2):
        driven.drive(ON, answers.append)
        await until(lambda: len(answers) == number, "answered")  # noqa: B023 - awaited at once
    assert answers == ["the coil does not read back what was written"] * 2
    await asyncio.to_thread(driven.close)
    server.close()


async def test_the_thread_ends_with_the_actuator_even_when_the_unit_hangs() -> None:
    async with ModbusUnit() as unit:
        unit.silent = True
        driven = Actuators([coil(unit.port)], Told())
        driven.drive(ON)
        [one] = driven._actuators.values()
        await asyncio.to_thread(driven.close)
        assert not one.running  # type: ignore[attr-defined]

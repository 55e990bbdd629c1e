"""Actuators with a real effect: a file, and a coil of a real Modbus TCP server."""

import asyncio
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import TypeVar

import pytest

from edge import actuators as actuators_module
from edge.actuators import HANGS, Actuators
from edge.config import GpioFile, ModbusCoil
from edge.rules import Act
from edge.switch import OVERTAKEN, WISHES_MAX, Switch
from simulators.modbus_unit import ModbusUnit
from tests.edge.site import until

ON, OFF = Act("siren", True, "rule r"), Act("siren", False, "rule r")
COIL = 3
READ_COILS, WRITE_COIL = 1, 5
BEYOND_SELECT = 1_024

Answer = TypeVar("Answer", bool, str, None)


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


async def test_a_file_is_written_and_what_it_reads_is_the_state(tmp_path: Path) -> None:
    told, path = Told(), tmp_path / "siren"
    driven = Actuators([GpioFile(name="siren", path=str(path))], told)
    await driven.look()
    assert driven.states == {"siren": "unknown"}
    driven.drive(ON)
    await until(lambda: told.acts, "told")
    assert path.read_text() == "1"
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
    before = len(told.acts)
    await turns()
    assert path.read_text() == "0" and len(told.acts) == before


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
        [one] = driven._switches.values()
        await asyncio.to_thread(driven.close)
        assert not one.running


# --- what an output may do to us -----------------------------------------------------------------


class Odd:
    """An output that does as it is told to: hangs until `go_on`, or raises."""

    answer_s_max = 0.05

    def __init__(self, raises: Exception | None = None) -> None:
        self.raises = raises
        self.written: list[bool] = []
        self.busy = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def read(self) -> bool | None:
        return self._or_not(True)

    def write(self, on: bool) -> str:
        self.busy.set()
        self.go_on.wait()
        self.written.append(on)
        return self._or_not("")

    def close(self) -> None:
        self._or_not(None)

    def _or_not(self, answer: Answer) -> Answer:
        if self.raises is not None:
            raise self.raises
        return answer


def odd(output: Odd, monkeypatch: pytest.MonkeyPatch) -> tuple[Actuators, Told]:
    told = Told()
    monkeypatch.setitem(vars(actuators_module), "_output", lambda one: output)
    return Actuators([GpioFile(name="siren", path="-")], told), told


async def test_whatever_an_output_raises_is_an_outcome_and_its_thread_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Odd(IndexError("list index out of range"))
    driven, told = odd(output, monkeypatch)
    answers: list[str] = []
    for number in (1, 2):
        driven.drive(ON, answers.append)
        await until(lambda: len(answers) == number, "answered")  # noqa: B023 - awaited at once
    assert answers[0].startswith("IndexError: list index out of range (test_actuators.py:") and told.errors == answers
    await asyncio.to_thread(driven.close)
    assert not any(switch.running for switch in driven._switches.values())


async def test_an_output_that_hangs_has_failed_and_what_was_given_up_does_not_happen_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = Odd()
    driven, told = odd(output, monkeypatch)
    output.go_on.clear()
    driven.drive(ON)
    await until(output.busy.is_set, "it hangs")
    answers: list[str] = []
    driven.drive(OFF, answers.append)
    await until(lambda: answers == [HANGS], "told to the one who asked")
    assert driven.states == {"siren": "unknown"} and told.acts[-1] == (False, HANGS)
    output.go_on.set()
    await until(lambda: driven.states == {"siren": "on"}, "what the rule wants, at last")
    assert False not in output.written
    await asyncio.to_thread(driven.close)


async def test_an_act_that_was_overtaken_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Odd()
    output.answer_s_max = 10.0
    driven, told = odd(output, monkeypatch)
    output.go_on.clear()
    driven.drive(ON)
    await until(output.busy.is_set, "busy")
    answers: list[str] = []
    driven.drive(OFF, answers.append)
    driven.drive(Act("siren", True, "command n"), answers.append)
    driven.drive(ON)
    output.go_on.set()
    await until(lambda: len(told.acts) == 3, "told")
    assert answers == [OVERTAKEN, ""] and set(told.errors) == {""} and output.written == [True, True]
    await asyncio.to_thread(driven.close)


async def test_only_so_many_wishes_wait_for_an_output_that_hangs() -> None:
    output, outcomes = Odd(), []
    output.go_on.clear()
    switch = Switch("siren", output, lambda stands: None)
    switch.set(True, outcomes.append)
    await until(output.busy.is_set, "busy")
    for _ in range(WISHES_MAX + 5):
        switch.set(False, outcomes.append)
    assert outcomes == [OVERTAKEN] * 5
    output.go_on.set()
    await until(lambda: len(outcomes) == WISHES_MAX + 6, "all told")
    switch.close()


async def test_a_fifo_is_a_failure_and_hangs_nobody(tmp_path: Path) -> None:
    told, path = Told(), tmp_path / "siren"
    os.mkfifo(path)
    driven = Actuators([GpioFile(name="siren", path=str(path))], told)
    driven.drive(ON)
    await until(lambda: told.acts, "told")
    assert "Illegal seek" in told.errors[0]
    await asyncio.to_thread(driven.close)


async def test_a_file_that_reads_no_text_is_a_failure(tmp_path: Path) -> None:
    told = Told()
    driven = Actuators([GpioFile(name="siren", path="/dev/zero")], told)
    driven.drive(ON)
    await until(lambda: told.acts, "told")
    assert told.errors[0].startswith("/dev/zero reads ")
    await asyncio.to_thread(driven.close)


async def test_how_an_actuator_stands_is_read_at_the_start(tmp_path: Path) -> None:
    path, other = tmp_path / "siren", tmp_path / "door"
    path.write_text("1\n")
    async with ModbusUnit() as unit:
        first = Actuators([coil(unit.port)], Told())
        first.drive(ON)
        await until(lambda: first.states == {"siren": "on"}, "on")
        await asyncio.to_thread(first.close)
        lamp = ModbusCoil(name="lamp", host="127.0.0.1", port=unit.port, coil=COIL, timeout_s=0.3)
        files = [GpioFile(name="siren", path=str(path)), GpioFile(name="door", path=str(other))]
        driven = Actuators([*files, lamp], Told())
        await until(lambda: driven.states == {"siren": "on", "door": "unknown", "lamp": "on"}, "read")
        await driven.look()
        await asyncio.to_thread(driven.close)


async def test_a_file_that_was_replaced_is_opened_again(tmp_path: Path) -> None:
    told, path = Told(), tmp_path / "siren"
    driven = Actuators([GpioFile(name="siren", path=str(path))], told)
    for number, change in enumerate([lambda: None, path.unlink, lambda: (tmp_path / "new").replace(path)], start=1):
        (tmp_path / "new").write_text("0")
        change()
        driven.drive(ON)
        await until(lambda: len(told.acts) == number, "told")  # noqa: B023 - awaited at once
        assert path.read_text() == "1" and told.errors[-1] == ""
    await asyncio.to_thread(driven.close)


# --- when all descriptors are taken ------------------------------------------------------------------

FULL = """
import asyncio, os, resource, sys
from edge.actuators import Actuators
from edge.config import GpioFile
from edge.rules import Act

async def main():
    told = []
    driven = Actuators([GpioFile(name="siren", path=sys.argv[1])], lambda act, error: told.append(error))
    await driven.look()
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        assert error.errno == 24, error
    driven.drive(Act("siren", True, "rule r"))
    while not told:
        await asyncio.sleep(0.01)
    print(told)
    driven.close()

asyncio.run(main())
"""


def test_the_siren_has_its_descriptor_when_all_others_are_taken(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", FULL, str(tmp_path / "siren")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.endswith("['']\n") and (tmp_path / "siren").read_text() == "1", done.stderr


async def test_a_coil_is_switched_through_a_descriptor_that_select_does_not_know() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < BEYOND_SELECT + 200:
        pytest.skip(f"only {hard} descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, BEYOND_SELECT + 200), hard))
    taken = [os.open("/dev/null", os.O_RDONLY)]
    try:
        while taken[-1] < BEYOND_SELECT:
            taken.append(os.open("/dev/null", os.O_RDONLY))
        told = Told()
        async with ModbusUnit() as unit:
            driven = Actuators([coil(unit.port)], told)
            driven.drive(ON)
            await until(lambda: told.acts, "told")
            assert told.errors == [""] and unit.coil(COIL)
            await asyncio.to_thread(driven.close)
    finally:
        for handle in taken:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

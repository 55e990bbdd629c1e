"""Bluetooth links through a real bus: what is advertised, bands that are connected, adapters that go and come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from devices.families import ble
from devices.family import CommandRefused, DeviceCommand
from devices.observation import Alarm, Telemetry
from edge import pause
from edge.links_ble import BleLink
from tests.devices.messages import BLE_KEY, bthome
from tests.edge.bluez import Bluez, bluez
from tests.edge.site import until
from tests.edge.wired import Behind, behind

SENSOR, BAND, PHONE = "A4:C1:38:8D:18:B2", "C0:FF:EE:00:00:02", "7A:11:22:33:44:55"
PHONES = 10  # dbus_fast writes no more at once than its socket takes
SMOKE, NO_SMOKE = bytes.fromhex("402901"), bytes.fromhex("402900")


@asynccontextmanager
async def link(made: Behind, *enrolled: str, connect: tuple[str, ...] = (), **settings: Any) -> AsyncIterator[BleLink]:
    wiring = made.wiring(msgspec.convert(settings, ble.Settings), *enrolled)
    opened = BleLink(wiring, ble.FAMILY, adapter="hci0", connect=connect, timeout_s=5)
    await opened.open()
    try:
        yield opened
    finally:
        opened.stop_reading()
        await opened.close()


@pytest.fixture
async def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bluez]:
    async with bluez(tmp_path, monkeypatch) as found:
        yield found


async def scanning(there: Bluez) -> None:
    await until(lambda: "StartDiscovery" in there.asked, "it scans")


def alarms(made: Behind) -> list[tuple[str, str, bool]]:
    return [(row.device, row.body.kind, row.body.raised) for row in made.rows() if isinstance(row.body, Alarm)]


def values(made: Behind) -> dict[str, float]:
    rows = [row.body for row in made.rows("routine") if isinstance(row.body, Telemetry)]
    return {name: value for body in rows for name, value in body.values.items()}


async def test_an_advertised_smoke_alarm_is_raised_once_and_cleared(tmp_path: Path, there: Bluez) -> None:
    sensor = there.device(SENSOR, "lobby")
    async with behind(tmp_path) as made, link(made, SENSOR):
        await scanning(there)
        for _ in range(5):
            there.advertise(sensor, service={"fcd2": SMOKE})
        await until(lambda: alarms(made) == [(f"ble:{SENSOR}", "smoke", True)], "raised")
        there.advertise(sensor, service={"fcd2": NO_SMOKE})
        await until(lambda: alarms(made)[1:] == [(f"ble:{SENSOR}", "smoke", False)], "cleared")


async def test_an_encrypted_sensor_is_heard_with_its_key(tmp_path: Path, there: Bluez) -> None:
    band = there.device(BAND)
    message = bthome("2901")
    async with behind(tmp_path) as made, link(made, BAND, keys={BAND: BLE_KEY}):
        await scanning(there)
        there.advertise(band, service={"fcd2": message.data})
        await until(lambda: alarms(made) == [(f"ble:{BAND}", "smoke", True)], "raised")


async def test_manufacturer_data_and_signal_strength_are_told(tmp_path: Path, there: Bluez) -> None:
    strap = there.device(BAND, "Polar H10 12345678")
    async with behind(tmp_path) as made, link(made, BAND):
        await scanning(there)
        there.advertise(strap, -71, company=(0x006B, bytes.fromhex("7214487e")))
        await until(lambda: "signal_dbm" in values(made), "told")
        assert values(made)["signal_dbm"] == -71


async def test_a_stranger_is_named_and_a_phone_is_not(tmp_path: Path, there: Bluez) -> None:
    stranger, phone = there.device(SENSOR), there.device(PHONE)
    taken: list[Any] = []
    async with behind(tmp_path) as made:
        wiring = made.wiring(ble.Settings())

        class Told:
            def take(self, name: str, results: Any, done: Any) -> None:
                taken.extend(results)
                done(None)

        opened = BleLink(
            msgspec.structs.replace(wiring, intake=Told()), ble.FAMILY, adapter="hci0", connect=(), timeout_s=5
        )
        await opened.open()
        try:
            await scanning(there)
            for number in range(PHONES):
                there.advertise(phone, company=(0x004C, bytes([16, 5, number, 24, 1, 2, 3])))
                await asyncio.sleep(0)
            there.advertise(stranger, service={"fcd2": SMOKE})
            await until(lambda: bool(taken), "the stranger is named")
        finally:
            opened.stop_reading()
            await opened.close()
    assert {(one.reason, one.device) for one in taken} == {("not enrolled", f"ble:{SENSOR}")}


# --- bands ---------------------------------------------------------------------------------------


def band_of(there: Bluez) -> tuple[str, str, str]:
    """(device, heart rate, battery)."""
    band = there.device(BAND, "band")
    rate = there.characteristic(band, "180d", "2a37", "notify")
    there.characteristic(band, "fff0", "ff01", "read", "notify")
    battery = there.characteristic(band, "180f", "2a19", "read", "notify")
    there.values[battery] = bytes([87])
    return band, rate, battery


async def test_a_band_is_connected_and_its_heart_rate_told(tmp_path: Path, there: Bluez) -> None:
    band, rate, _ = band_of(there)
    async with behind(tmp_path) as made, link(made, BAND, connect=(BAND.lower(),)) as opened:
        await scanning(there)
        there.advertise(band)
        await until(lambda: opened.connections == 1, "connected")
        assert there.asked.count("StartNotify") == 2  # the maker's own is left alone
        there.notify(rate, bytes.fromhex("065a"))
        await until(lambda: values(made).get("heart_rate_bpm") == 90, "the heart rate is told")
        assert values(made)["battery_percent"] == 87


async def test_a_band_that_goes_is_connected_when_it_is_heard_again(tmp_path: Path, there: Bluez) -> None:
    band, rate, _ = band_of(there)
    with capture_logs() as logs:
        async with behind(tmp_path) as made, link(made, BAND, connect=(BAND,)) as opened:
            await scanning(there)
            there.advertise(band)
            await until(lambda: opened.connections == 1, "connected")
            there.go(band)
            await until(lambda: opened.connections == 0, "gone")
            there.advertise(band)
            await until(lambda: opened.connections == 1, "connected again")
            there.notify(rate, bytes.fromhex("065b"))
            await until(lambda: values(made).get("heart_rate_bpm") == 91, "told")
    said = [line["event"] for line in logs if line.get("of") == BAND]
    assert said == ["link_lost", "link_recovered"]


async def test_the_link_that_ends_lets_the_band_go(tmp_path: Path, there: Bluez) -> None:
    band, *_ = band_of(there)
    async with behind(tmp_path) as made, link(made, BAND, connect=(BAND,)) as opened:
        await scanning(there)
        there.advertise(band)
        await until(lambda: opened.connections == 1, "connected")
    assert {"Disconnect", "StopDiscovery"} <= set(there.asked)


# --- troubles ------------------------------------------------------------------------------------


async def test_an_adapter_that_is_off_is_said_and_found_again(
    tmp_path: Path, there: Bluez, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pause, "LONGEST_S", 0.05)
    there.powered = False
    sensor = there.device(SENSOR)
    with capture_logs() as logs:
        async with behind(tmp_path) as made, link(made, SENSOR):
            await until(lambda: there.asked.count("StartDiscovery") > 2, "tried again")
            there.powered = True
            await until(lambda: any(line["event"] == "link_recovered" for line in logs), "found again")
            there.advertise(sensor, service={"fcd2": SMOKE})
            await until(lambda: bool(alarms(made)), "heard")
    lost = [line for line in logs if line["event"] == "link_lost"]
    assert [(line["of"], line["error"]) for line in lost] == [("hci0", "hci0 is off: bluetoothctl power on")]


async def test_without_bluez_it_says_what_to_install(
    tmp_path: Path, there: Bluez, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.vanish()
    with capture_logs() as logs:
        async with behind(tmp_path) as made, link(made):
            await until(lambda: any(line["event"] == "link_lost" for line in logs), "said")
    assert "install bluez" in next(line["error"] for line in logs if line["event"] == "link_lost")


async def test_without_a_bus_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with capture_logs() as logs:
        async with behind(tmp_path) as made, link(made):
            await until(lambda: any(line["event"] == "link_lost" for line in logs), "said")
    assert "no system bus" in next(line["error"] for line in logs if line["event"] == "link_lost")


async def test_what_a_full_disk_did_not_take_is_told_again(tmp_path: Path, there: Bluez) -> None:
    sensor = there.device(SENSOR)
    async with behind(tmp_path) as made, link(made, SENSOR) as opened:
        await scanning(there)
        made.disk_full(True)
        before = opened._session
        there.advertise(sensor, service={"fcd2": SMOKE})
        await until(lambda: opened._session is not before, "refused")
        made.disk_full(False)

        def told() -> bool:
            there.advertise(sensor, service={"fcd2": SMOKE})
            return bool(alarms(made))

        await until(told, "told again")


async def test_it_takes_no_commands(tmp_path: Path, there: Bluez) -> None:
    command = DeviceCommand(nonce="n", native_id=BAND, action="locate")
    async with behind(tmp_path) as made, link(made, BAND) as opened:
        with pytest.raises(CommandRefused):
            opened.command(command, datetime.now(UTC))

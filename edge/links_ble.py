"""Bluetooth links: an adapter of this machine listens to what is advertised, and holds connections to bands and sensors
that have to be asked. Everything goes through BlueZ. The only home of bleak.

Rules
- Scanning never ends: it is begun anew every ROUND_S, which also finds out that the adapter or BlueZ is gone. An
  adapter that is away is tried again with full jitter; lost and found again are a line each, with what to do.
- Each advertisement is one message for each of its service data (16 bit) and manufacturer data. The session drops what
  it was told before and the phones of passers-by, so none of it is kept here.
- To each of `connect` one connection is held, once it was heard advertising: every characteristic that the family reads
  is subscribed to, or read once where it can only be read. A band that goes is connected again when it is heard again.
- While the link holds, or the spool does not take what came, it is dropped: the next advertisement says the same. A new
  session begins then, so that it is told again.
- A crash inside the session costs the message that did it, and begins a new one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial

import structlog
from bleak import BleakClient, BleakScanner
from bleak.args.bluez import BlueZScannerArgs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakDBusError, BleakError

from devices.families.ble import normal
from devices.families.ble_gatt import CHARACTERISTICS
from devices.family import CommandRefused, DeviceCommand, Message, MessageFamily
from edge import clock
from edge.flow import NO_WAY, Delivery, Flow, Seldom, Wiring
from edge.mqtt import end
from edge.pause import Pause
from edge.spool_file import SpoolError
from edge.supervisor import supervise

ROUND_S = 30.0
ANSWER_S_MAX = 10.0  # of BlueZ
OF_BLUETOOTH = "-0000-1000-8000-00805f9b34fb"  # after 0000 and four digits: a UUID of 16 bit
TROUBLES = (BleakError, OSError, EOFError, TimeoutError, AssertionError)  # the last two: bleak, of a bus that is gone
NO_ANSWER = frozenset({"org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"})
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
NOT_READY = "org.bluez.Error.NotReady"

log = structlog.get_logger()


class BleLink:
    """One adapter. `connect`: addresses; `timeout_s`: of a connection that is being made."""

    def __init__(
        self, wiring: Wiring, family: MessageFamily, *, adapter: str, connect: Sequence[str], timeout_s: float
    ) -> None:
        self.name = wiring.name
        self.port = 0
        self.dropped = 0
        self.flow = Flow(wiring.rows_max, lambda: None, lambda: None)
        self._wiring = wiring
        self._family = family
        self._session = family.open_session(wiring.settings, wiring.enrolled)
        self._adapter = adapter
        self._timeout_s = timeout_s
        self._heard = {normal(address): asyncio.Queue[BLEDevice](1) for address in connect}
        self._connected: set[str] = set()
        self._connecting = asyncio.Lock()  # BlueZ makes one connection at a time
        self._lost: set[str] = set()  # the adapter, or addresses
        self._crash = Seldom()
        self._running: list[asyncio.Task[None]] = []

    @property
    def connections(self) -> int:
        """Devices that are connected; those that advertise are heard without a connection."""
        return len(self._connected)

    async def open(self) -> None:
        works: dict[str, Callable[[], Awaitable[None]]] = {self._adapter: self._scan}
        works |= {address: partial(self._hold, address) for address in self._heard}
        for what, work in works.items():
            part = f"link {self.name} {what}"
            self._running.append(asyncio.create_task(supervise(part, partial(self._for_ever, what, work))))

    def stop_reading(self) -> None:
        self.flow.stop()

    async def close(self) -> None:
        await end(self._running)

    def sweep(self) -> None:
        """Silence is the family's to notice."""

    def command(self, command: DeviceCommand, now: datetime) -> None:
        raise CommandRefused(NO_WAY)

    async def _for_ever(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        pause = Pause()
        while True:
            pause.begin()
            try:
                await work()
                pause.reset()
            except TROUBLES as error:
                self._say_lost(what, _in_words(error, self._adapter))
                await clock.sleep(pause.seconds())

    async def _scan(self) -> None:
        """One round. Raises one of TROUBLES."""
        found: BlueZScannerArgs = {"adapter": self._adapter, "filters": {"Transport": "le", "DuplicateData": True}}
        scanner = BleakScanner(self._advertised, bluez=found)
        async with _in_time(scanner.start, scanner.stop):
            self._say_found(self._adapter)
            await clock.sleep(ROUND_S)

    async def _hold(self, address: str) -> None:
        """One connection, from the device's being heard to its end, which is a BleakError."""
        device = await self._heard[address].get()
        ended = asyncio.Event()
        client = BleakClient(device, lambda _: ended.set(), timeout=self._timeout_s, bluez={"adapter": self._adapter})
        async with AsyncExitStack() as stack:
            async with self._connecting:
                await stack.enter_async_context(_in_time(client.connect, client.disconnect, self._timeout_s))
            for characteristic in client.services.characteristics.values():
                await self._listen(client, address, characteristic)
            self._connected.add(address)
            stack.callback(self._connected.discard, address)
            self._say_found(address)
            await ended.wait()
        raise BleakError("it hung up, or is out of reach")

    async def _listen(self, client: BleakClient, address: str, characteristic: BleakGATTCharacteristic) -> None:
        number = _short(characteristic.uuid)
        if number.lower() not in CHARACTERISTICS:
            return
        if {"notify", "indicate"} & set(characteristic.properties):

            def told(_: BleakGATTCharacteristic, data: bytearray) -> None:
                self._take(Message(f"{address}/{number}", bytes(data)))

            await client.start_notify(characteristic, told)
        if "read" in characteristic.properties:
            self._take(Message(f"{address}/{number}", bytes(await client.read_gatt_char(characteristic))))

    def _advertised(self, device: BLEDevice, heard: AdvertisementData) -> None:
        address = normal(device.address)
        waiting = self._heard.get(address)
        if waiting is not None and not waiting.full() and address not in self._connected:
            waiting.put_nowait(device)
        for message in messages_of(device.address, heard):
            self._take(message)

    def _take(self, message: Message) -> None:
        if self.flow.holding:
            self.dropped += 1
            return
        delivery = Delivery(0)
        try:
            results = self._session.receive(message, clock.now())
            if results:
                delivery = self.flow.deliver(len(results))
                self._wiring.intake.take(self.name, results, partial(self._done, delivery))
        except Exception:
            self.flow.settle(delivery)
            self._begin_anew()
            if self._crash.due():
                log.exception("link_crashed", link=self.name)

    def _done(self, delivery: Delivery, error: SpoolError | None) -> None:
        if self.flow.settle(delivery, error) is not None:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """A session that does not believe that it has told what nobody took."""
        self._session = self._family.open_session(self._wiring.settings, self._wiring.enrolled)

    def _say_lost(self, what: str, error: str) -> None:
        if what not in self._lost:
            self._lost.add(what)
            log.warning("link_lost", link=self.name, of=what, error=error)

    def _say_found(self, what: str) -> None:
        if what in self._lost:
            self._lost.discard(what)
            log.info("link_recovered", link=self.name, of=what)


@asynccontextmanager
async def _in_time(
    begin: Callable[[], Awaitable[None]], finish: Callable[[], Awaitable[None]], begin_s_max: float = ANSWER_S_MAX
) -> AsyncIterator[None]:
    """A call to a bus that is gone meanwhile may never be answered."""
    async with asyncio.timeout(begin_s_max):
        await begin()
    try:
        yield
    finally:
        async with asyncio.timeout(ANSWER_S_MAX):
            await finish()


def messages_of(address: str, heard: AdvertisementData) -> Iterator[Message]:
    """What one advertisement says, in the channels that the family knows."""
    said = {"name": heard.local_name or "", "rssi": str(heard.rssi)}
    for uuid, data in heard.service_data.items():
        if number := _short(uuid):
            yield Message(f"{address}/service/{number}", data, said)
    for company, data in heard.manufacturer_data.items():
        yield Message(f"{address}/manufacturer", company.to_bytes(2, "little") + data, said)


def _short(uuid: str) -> str:
    """The four digits of a 16 bit UUID; "" for any other."""
    uuid = uuid.lower()
    return uuid[4:8].upper() if uuid.startswith("0000") and uuid.endswith(OF_BLUETOOTH) else ""


def _in_words(error: BaseException, adapter: str) -> str:
    """What is wrong, and what to do."""
    if isinstance(error, BleakDBusError) and error.dbus_error in NO_ANSWER:
        return "BlueZ does not run: install bluez, systemctl start bluetooth"
    if isinstance(error, BleakDBusError) and error.dbus_error == DENIED:
        return "BlueZ does not let this user in: add it to the group bluetooth"
    if isinstance(error, BleakDBusError) and error.dbus_error == NOT_READY:
        return f"{adapter} is off: bluetoothctl power on"
    if isinstance(error, FileNotFoundError | ConnectionError):
        return "there is no system bus (D-Bus): install dbus; in a container, mount /run/dbus"
    return str(error) or type(error).__name__

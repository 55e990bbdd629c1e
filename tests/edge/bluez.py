"""A bus of its own (dbus-daemon) with BlueZ's face on it: an adapter, devices that advertise, bands that are connected.

Names, signatures and errors are those of BlueZ's own documents (org.bluez.Adapter, Device, GattService,
GattCharacteristic). bleak reaches it as it does the real one, by the address of the system bus.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from tests.edge.site import until

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>"""
ADAPTER = "/org/bluez/hci0"
LONG = "0000{}-0000-1000-8000-00805f9b34fb"
NOT_READY = "org.bluez.Error.NotReady"

Properties = dict[str, Variant]


class Bluez:
    """What BlueZ shows: path -> interface -> properties. `asked`: the methods that were called, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.powered = True
        self.values: dict[str, bytes] = {}  # characteristic's path -> what reading it gives
        self.daemon: asyncio.subprocess.Process | None = None
        self._objects: dict[str, dict[str, Properties]] = {}
        self._bus: MessageBus | None = None
        self.add(ADAPTER, "org.bluez.Adapter1", Powered=Variant("b", True), Roles=Variant("as", ["central"]))

    async def serve(self, address: str) -> None:
        self._bus = await MessageBus(bus_address=address).connect()
        self._bus.add_message_handler(self._answer)
        await self._bus.request_name("org.bluez")

    def vanish(self) -> None:
        """bluetoothd ends."""
        if self._bus is not None:
            self._bus.disconnect()

    def add(self, path: str, interface: str, **properties: Variant) -> str:
        self._objects.setdefault(path, {})[interface] = properties
        if self._bus is not None:
            self._signal(
                "/",
                "org.freedesktop.DBus.ObjectManager",
                "InterfacesAdded",
                "oa{sa{sv}}",
                path,
                {interface: properties},
            )
        return path

    def device(self, address: str, name: str = "") -> str:
        """A device that has been heard once. Its path."""
        return self.add(
            f"{ADAPTER}/dev_{address.replace(':', '_')}",
            "org.bluez.Device1",
            Address=Variant("s", address),
            Alias=Variant("s", name or address.replace(":", "-")),
            Adapter=Variant("o", ADAPTER),
            Paired=Variant("b", False),
            Connected=Variant("b", False),
            ServicesResolved=Variant("b", False),
            UUIDs=Variant("as", []),
            **({"Name": Variant("s", name)} if name else {}),
        )

    def advertise(
        self,
        device: str,
        rssi: int = -60,
        service: dict[str, bytes] | None = None,
        company: tuple[int, bytes] | None = None,
    ) -> None:
        said = {"RSSI": Variant("n", rssi)}
        if service:
            data = {LONG.format(uuid): Variant("ay", value) for uuid, value in service.items()}
            said["ServiceData"] = Variant("a{sv}", data)
        if company:
            said["ManufacturerData"] = Variant("a{qv}", {company[0]: Variant("ay", company[1])})
        self.change(device, "org.bluez.Device1", **said)

    def characteristic(self, device: str, service: str, uuid: str, *flags: str) -> str:
        above = f"{device}/service0010"
        if above not in self._objects:
            self.add(
                above,
                "org.bluez.GattService1",
                UUID=Variant("s", LONG.format(service)),
                Device=Variant("o", device),
                Primary=Variant("b", True),
            )
        return self.add(
            f"{above}/char{len(self._objects):04x}",
            "org.bluez.GattCharacteristic1",
            UUID=Variant("s", LONG.format(uuid)),
            Service=Variant("o", above),
            Flags=Variant("as", list(flags)),
            Notifying=Variant("b", False),
        )

    def notify(self, characteristic: str, value: bytes) -> None:
        self.change(characteristic, "org.bluez.GattCharacteristic1", Value=Variant("ay", value))

    def go(self, device: str) -> None:
        """Out of reach."""
        self._connected(device, False)

    def change(self, path: str, interface: str, **changed: Variant) -> None:
        self._objects[path][interface] |= changed
        self._signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", interface, changed, [])

    def _connected(self, device: str, there: bool) -> None:
        self.change(device, "org.bluez.Device1", Connected=Variant("b", there), ServicesResolved=Variant("b", there))

    def _signal(self, path: str, interface: str, member: str, signature: str, *body: object) -> None:
        assert self._bus is not None
        self._bus.send(Message.new_signal(path, interface, member, signature, list(body)))

    def _answer(self, message: Message) -> Message | None:
        if message.message_type != MessageType.METHOD_CALL or message.destination == "org.freedesktop.DBus":
            return None
        if message.member == "GetManagedObjects":
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [self._objects])
        self.asked.append(message.member or "")
        match message.member:
            case "StartDiscovery" | "StopDiscovery" | "Connect" if not self.powered:
                return Message.new_error(message, NOT_READY, "Resource Not Ready")
            case "Connect" | "Disconnect":
                self._connected(str(message.path), message.member == "Connect")
            case "ReadValue":
                return Message.new_method_return(message, "ay", [self.values[str(message.path)]])
        return Message.new_method_return(message)


@asynccontextmanager
async def bluez(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bluez]:
    """BlueZ on a bus of its own, which is the system bus of this process meanwhile."""
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        pytest.skip("dbus-daemon is missing: make system")
    socket, config = folder / "bus", folder / "bus.conf"
    config.write_text(CONFIG.format(socket=socket))
    process = await asyncio.create_subprocess_exec(daemon, f"--config-file={config}", "--nofork", "--nopidfile")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={socket}")
    found = Bluez()
    try:
        found.daemon = process
        await until(socket.exists, "the bus is there")
        while True:
            try:
                await found.serve(f"unix:path={socket}")
                break
            except ConnectionRefusedError:  # bound, and not listening yet
                await asyncio.sleep(0.01)
        yield found
    finally:
        found.vanish()
        if process.returncode is None:
            process.terminate()
        await process.wait()

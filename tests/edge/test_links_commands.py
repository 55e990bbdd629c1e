"""Commands on links of each kind, with real sockets: written at once or refused, and a crash costs one session."""

import json
from collections.abc import Container
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from msgspec.structs import replace

from devices.families import frigate, jt808, lorawan, watch, zigbee2mqtt
from devices.family import CommandRefused, DeviceCommand
from devices.observation import CommandAnswer
from edge import clock
from edge.config import Broker
from edge.flow import CRASHED, NO_WAY, Link, NotHere
from edge.links import TcpServer
from edge.links_mqtt import MqttLink
from edge.links_udp import UdpServer
from edge.turns import Turns
from tests.conftest import BrokerAddress
from tests.devices import frames
from tests.devices.messages import DEV_EUI
from tests.edge.site import Device, until
from tests.edge.test_links_folder import link as folder_link
from tests.edge.test_links_mqtt import Site
from tests.edge.test_links_udp import peer
from tests.edge.wired import behind

BAND, OTHER, TERMINAL = "8800000015", "8800000016", "13912345678"


def asked(native_id: str, action: str, **args: str) -> DeviceCommand:
    return DeviceCommand(nonce="n", native_id=native_id, action=action, args=args)


def ask(link: Link, native_id: str, action: str, **args: str) -> None:
    link.command(asked(native_id, action, **args), clock.now())


class CrashingBand(watch.Session):
    def command(self, command: DeviceCommand, now: Any) -> None:
        raise ZeroDivisionError("a bug")


class CrashingTerminal(jt808.Session):
    def command(self, command: DeviceCommand, now: Any) -> None:
        raise ZeroDivisionError("a bug")


async def test_a_lock_behind_a_broker_is_asked_and_confirms(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    settings = zigbee2mqtt.Settings(base_topic=site.name)
    async with behind(tmp_path) as made, site.listening():
        link = MqttLink(
            made.wiring(settings, "lock"),
            zigbee2mqtt.FAMILY,
            Broker(host=broker.host, port=broker.port),
            "",
            identifier=site.name,
            topics=(f"{site.name}/+",),
        )
        with pytest.raises(CommandRefused, match="the broker of the devices is away"):
            ask(link, "lock", "unlock")
        await link.open()
        await until(lambda: link.connections, "connected")
        with pytest.raises(CommandRefused, match="is not enrolled"):
            ask(link, "another", "unlock")
        ask(link, "lock", "unlock")
        await until(lambda: (f"{site.name}/lock/set", b'{"state":"UNLOCK"}') in site.heard, "the lock is asked")
        link._arrived(f"{site.name}/lock", json.dumps({"lock_state": "unlocked"}).encode(), False, lambda: None)
        await until(lambda: made.answers == [CommandAnswer(nonce="n", result="confirmed")], "and confirms")
        link._session.command = lambda command, now: 1 / 0  # type: ignore[method-assign, assignment, attr-defined]
        with pytest.raises(CommandRefused, match=CRASHED):
            ask(link, "lock", "lock")
        ask(link, "lock", "lock")
        link.stop_reading()
        await link.close()


async def test_a_camera_of_frigate_is_switched_and_confirms(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    settings = frigate.Settings(prefix=site.name)
    async with behind(tmp_path) as made, site.listening():
        at = Broker(host=broker.host, port=broker.port)
        wiring = made.wiring(settings, "hall")
        link = MqttLink(wiring, frigate.FAMILY, at, "", identifier=site.name, topics=(f"{site.name}/#",))
        await link.open()
        await until(lambda: link.connections, "connected")
        ask(link, "hall", "detect_on")
        await until(lambda: (f"{site.name}/hall/detect/set", b"ON") in site.heard, "the camera is asked")
        async with aiomqtt.Client(*broker, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.publish(f"{site.name}/hall/detect/state", "ON", qos=1)
        await until(lambda: made.answers == [CommandAnswer(nonce="n", result="confirmed")], "and confirms")
        link.stop_reading()
        await link.close()


async def test_a_downlink_goes_where_the_device_was_heard_from(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    site.name = f"application/{site.name}"
    topic = f"{site.name}/device/{DEV_EUI}"
    about = {"deviceInfo": {"devEui": DEV_EUI}, "time": "2026-11-24T12:29:50Z"}
    async with (
        behind(tmp_path) as made,
        site.listening(),
        aiomqtt.Client(*broker, protocol=aiomqtt.ProtocolVersion.V5) as client,
    ):
        at = Broker(host=broker.host, port=broker.port)
        wiring = made.wiring(lorawan.Settings(any_time=True), DEV_EUI)
        topics = (f"{site.name}/device/+/event/+",)
        link = MqttLink(wiring, lorawan.FAMILY, at, "", identifier=site.name, topics=topics)
        await link.open()
        await until(lambda: link.connections, "connected")
        with pytest.raises(CommandRefused, match="was not heard by MQTT yet"):
            ask(link, DEV_EUI, "downlink", f_port="85", payload_hex="FF3E00", confirmed="yes")
        await client.publish(f"{topic}/event/up", json.dumps(about | {"fPort": 85}), qos=1)
        await until(lambda: made.rows("routine"), "the device is heard")
        ask(link, DEV_EUI, "downlink", f_port="85", payload_hex="FF3E00", confirmed="yes")
        await until(lambda: [what for what, _ in site.heard if what == f"{topic}/command/down"], "the server is asked")
        sent = json.loads(next(data for what, data in site.heard if what == f"{topic}/command/down"))
        assert (sent["fPort"], sent["data"], sent["confirmed"]) == (85, "/z4A", True)
        told = about | {"queueItemId": sent["id"], "acknowledged": True}
        await client.publish(f"{topic}/event/ack", json.dumps(told), qos=1)
        await until(lambda: made.answers == [CommandAnswer(nonce="n", result="confirmed")], "the device confirms")
        link.stop_reading()
        await link.close()


async def test_a_session_without_commands_says_so(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, folder_link(made, tmp_path / "drop") as folder:
        with pytest.raises(CommandRefused, match=NO_WAY):
            ask(folder, "button", "press")


@pytest.mark.parametrize("crash", [False, True])
async def test_a_crash_in_a_command_costs_its_connection_only(tmp_path: Path, crash: bool) -> None:
    def opened(settings: Any, enrolled: Container[str]) -> watch.Session:
        return (CrashingBand if crash else watch.Session)(settings, enrolled)

    async with behind(tmp_path) as made:
        family = replace(watch.FAMILY, open_session=opened)
        link = TcpServer(
            made.wiring(watch.Settings(), BAND, OTHER), family, Turns(), host="127.0.0.1", port=0, connections_max=9
        )
        await link.open()
        async with Device(link.port) as band, Device(link.port) as other:
            with pytest.raises(NotHere):
                ask(link, BAND, "find")
            band.send(frames.watch("LK", BAND))
            other.send(frames.watch("LK", OTHER))
            await until(lambda: band.received and other.received, "both are there")
            if crash:
                with pytest.raises(CommandRefused, match=CRASHED):
                    ask(link, BAND, "find")
                await until(lambda: band.ended, "its connection is ended")
                other.send(frames.watch("LK", OTHER))
                await until(lambda: len(other.received) == 2 * len(frames.watch("LK")), "the other one lives")
            else:
                ask(link, BAND, "find")
                await until(lambda: band.received.endswith(frames.watch("FIND")), "asked")
                assert other.received == frames.watch("LK", OTHER)
                band.hang_up()
                await until(lambda: link.connections == 1, "the band is gone")
                with pytest.raises(CommandRefused, match="has not shown itself on this link"):
                    ask(link, BAND, "find")
        link.stop_reading()
        await link.close()


@pytest.mark.parametrize("crash", [False, True])
async def test_a_crash_in_a_command_costs_its_peer_only(tmp_path: Path, crash: bool) -> None:
    def opened(settings: Any, enrolled: Container[str]) -> jt808.Session:
        return (CrashingTerminal if crash else jt808.Session)(settings, enrolled)

    async with behind(tmp_path) as made:
        family = replace(jt808.FAMILY, open_session=opened)
        link = UdpServer(made.wiring(jt808.Settings(), TERMINAL), family, host="127.0.0.1", port=0, peers_max=9)
        await link.open()
        async with peer(link.port) as terminal:
            with pytest.raises(NotHere):
                ask(link, TERMINAL, "locate")
            terminal.send(frames.jt808("0002", ""))
            await until(lambda: terminal.received, "heard")
            if crash:
                with pytest.raises(CommandRefused, match=CRASHED):
                    ask(link, TERMINAL, "locate")
                with pytest.raises(NotHere):
                    ask(link, TERMINAL, "locate")
                terminal.send(frames.jt808("0002", ""))
                await until(lambda: len(terminal.received) == 2, "heard by a new session")
            else:
                ask(link, TERMINAL, "locate")
                await until(lambda: len(terminal.received) == 2, "asked")
                with pytest.raises(CommandRefused, match="no command"):
                    ask(link, TERMINAL, "explode")
        link.stop_reading()
        await link.close()

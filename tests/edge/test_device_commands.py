"""Commands of the hub to devices: by the link that has the device, answered in the device's own words or not at all."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devices.documents import sign
from devices.families import FAMILIES, jt808_wire
from devices.family import CommandRefused, DeviceCommand
from devices.observation import CommandAnswer
from edge import clock
from edge.device_commands import WAITING_MAX, DeviceCommands
from tests.conftest import BrokerAddress
from tests.devices import frames
from tests.edge import site
from tests.edge.hub_side import HubSide
from tests.edge.process import AgentProcess
from tests.edge.site import BAND, PANEL, TERMINAL, Device, command, until
from tests.edge.test_links_udp import peer

KEY = Ed25519PrivateKey.generate()
_numbers = itertools.count(1)
_nonces = (f"n-{number}" for number in itertools.count(1))
NO_ANSWER = "the device has not answered; it may have acted all the same"
LINK_UP = frames.watch("LK")


class Desk:
    """A hub that commands, an agent and what it said."""

    def __init__(self, hub: HubSide, agent: AgentProcess, gateway: str) -> None:
        self.hub, self.agent, self._gateway = hub, agent, gateway

    async def ask(self, action: str, target: str, value: str = "", expires_s: float = 10.0) -> str:
        """The nonce of a command that is on its way."""
        nonce = next(_nonces)
        keys = {"nonce": nonce, "action": f"device.{action}", "target": target, "value": value}
        asked = command(self._gateway, expires_at=clock.now() + timedelta(seconds=expires_s), **keys)
        await self.hub.say("cmd", sign(asked, KEY))
        return nonce

    def said(self, nonce: str) -> list[tuple[str, str]]:
        return [(one["result"], one.get("reason", "")) for one in self.hub.results if one["nonce"] == nonce]

    async def answered(self, nonce: str, number: int = 1) -> list[tuple[str, str]]:
        await until(lambda: len(self.said(nonce)) >= number, f"{number} answers")
        return self.said(nonce)


@asynccontextmanager
async def desk(folder: Path, broker: BrokerAddress, **changes: Any) -> AsyncIterator[Desk]:
    gateway, public = f"devices-{next(_numbers)}", folder / "hub.pub"
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    config = site.write(
        folder, gateway=gateway, broker={"port": broker.port}, hub_public_key_file=str(public), **changes
    )
    site.acted_before(folder / "state")
    async with HubSide(*broker, gateway) as hub, AgentProcess(config) as agent:
        await until(lambda: agent.said("uplink_connected"), "connected")
        yield Desk(hub, agent, gateway)


async def test_a_device_is_asked_on_its_own_connection_and_answers_in_its_own_words(
    tmp_path: Path, broker: BrokerAddress
) -> None:
    async with desk(tmp_path, broker) as made, Device(made.agent.port("watch")) as stranger:
        async with Device(made.agent.port("watch")) as band:
            stranger.send(frames.watch("LK", device="9900000000"))
            band.send(LINK_UP)
            await until(lambda: band.received == frames.watch("LK"), "the band is there")
            nonce = await made.ask("interval", BAND, '{"seconds": 600}')
            await until(lambda: band.received.endswith(frames.watch("UPLOAD,600")), "the band is asked")
            assert made.said(nonce) == [], "nothing is said for it"
            band.send(frames.watch("UPLOAD"))
            assert await made.answered(nonce) == [("accepted", "")]
            nonce = await made.ask("locate", BAND)
            await until(lambda: band.received.endswith(frames.watch("CR")), "and again")
            band.send(frames.watch("CR") + frames.watch(frames.UD_CONTENT))
            assert await made.answered(nonce, 2) == [("accepted", ""), ("confirmed", "")]
            assert stranger.received == b""
        told = [line for line in made.agent.said("device_command") if line["nonce"] == nonce]
        assert [line["result"] for line in told] == ["accepted", "confirmed"]


async def test_a_newer_connection_of_a_panel_is_the_one_that_is_asked(tmp_path: Path, broker: BrokerAddress) -> None:
    async with desk(tmp_path, broker) as made, Device(made.agent.port("gbt26875")) as older:
        older.send(site.smoke(1))
        await until(lambda: older.confirmed == 1, "heard")
        async with Device(made.agent.port("gbt26875")) as newer:
            newer.send(site.smoke(2))
            await until(lambda: newer.confirmed == 1, "heard")
            before = len(older.received), len(newer.received)
            nonce = await made.ask("read_version", PANEL)
            await until(lambda: len(newer.received) > before[1], "asked")
            request = newer.received[before[1] :]
            assert (request[26], request[27]) == (4, 85)
            head = request[2:4].hex() + frames.SMOKE_HEAD[4:-6]
            newer.send(frames.gbt26875(f"{head}000006", ""))
            assert await made.answered(nonce) == [("refused", "the device denies it")]
            older.send(site.smoke(3))
            await until(lambda: older.confirmed == 2, "the older one speaks again")
            before = len(older.received), len(newer.received)
            await made.ask("read_version", PANEL)
            await until(lambda: len(older.received) > before[0], "and is asked")
            assert len(newer.received) == before[1]
        newer.hang_up()


async def test_what_cannot_be_is_refused_with_the_reason(tmp_path: Path, broker: BrokerAddress) -> None:
    links = [{"name": "watch", "kind": "tcp_server", "family": "watch", "port": 0}]
    devices = [{"id": PANEL}, {"id": BAND}]
    async with desk(tmp_path, broker, links=links, devices=devices, rules=[]) as made:
        for action, target, value, reason in (
            ("find", "watch:8800000099", "", "watch:8800000099 is not enrolled at this gateway"),
            ("find", "siren", "", "siren is not enrolled at this gateway"),
            ("find", BAND, "", f"{BAND} is not connected"),
            ("explode", BAND, "", f"no command 'explode' for {BAND}; there are find, locate,"),
            ("find", BAND, "[1]", "the value is no JSON object of texts and numbers"),
            ("find", BAND, '{"a": null}', "the value is no JSON object of texts and numbers"),
            ("find", BAND, "{", "the value is no JSON object of texts and numbers"),
            ("read_state", PANEL, "", f"{PANEL} is not connected"),
        ):
            [(result, told)] = await made.answered(await made.ask(action, target, value))
            assert (result, told[: len(reason)]) == ("refused", reason)
        async with Device(made.agent.port("watch")) as band:
            band.send(LINK_UP)
            await until(lambda: band.received, "the band is there")
            nonce = await made.ask("call", BAND, '{"number": "110]"}')
            assert await made.answered(nonce) == [
                ("refused", "number: no telephone number; 3 to 20 digits, + in front allowed")
            ]
            assert band.received == frames.watch("LK")
        await until(lambda: made.agent.said("device_command") == [], "nothing was sent")


async def test_silence_until_it_expires_is_told_and_silence_after_a_word_is_not(
    tmp_path: Path, broker: BrokerAddress
) -> None:
    async with desk(tmp_path, broker) as made, Device(made.agent.port("watch")) as band:
        band.send(LINK_UP)
        await until(lambda: band.received, "the band is there")
        accepted = await made.ask("measure_heart", BAND, expires_s=1.0)
        await until(lambda: b"hrtstart" in band.received, "asked")
        band.send(frames.watch("hrtstart"))
        silent = await made.ask("find", BAND, expires_s=1.0)
        assert await made.answered(silent) == [("expired", NO_ANSWER)]
        late = await made.ask("ping", BAND, expires_s=1.0)
        await until(lambda: made.said(late), "expired, too")
        band.send(frames.watch("FIND") + frames.watch("heart,70") + frames.watch("PING"))
        last = await made.ask("restart", BAND)
        await until(lambda: b"RESET" in band.received, "asked")
        band.send(frames.watch("RESET"))
        await made.answered(last)
        assert made.said(accepted) == [("accepted", "")]
        assert [len(made.said(nonce)) for nonce in (silent, late)] == [1, 1], "what comes late is told no more"


async def test_a_terminal_over_udp_is_asked_where_it_spoke_from(tmp_path: Path, broker: BrokerAddress) -> None:
    links = [{"name": "jt808", "kind": "udp_server", "family": "jt808", "port": 0}]
    async with desk(tmp_path, broker, links=links, rules=[]) as made, peer(made.agent.port("jt808")) as terminal:
        nonce = await made.ask("locate", TERMINAL)
        assert await made.answered(nonce) == [("refused", f"{TERMINAL} is not connected")]
        terminal.send(frames.jt808("0002", ""))
        await until(lambda: terminal.received, "heard")
        nonce = await made.ask("lock_doors", TERMINAL)
        await until(lambda: len(terminal.received) == 2, "asked")
        asked = jt808_wire.read_message(jt808_wire.unescape(terminal.received[1].strip(b"\x7e")))
        terminal.send(frames.jt808("0001", f"{asked.serial:04X}850001"))
        assert await made.answered(nonce) == [("refused", "the terminal failed to do it")]


async def test_arguments_stay_out_of_the_log(tmp_path: Path, broker: BrokerAddress) -> None:
    async with desk(tmp_path, broker) as made, Device(made.agent.port("watch")) as band:
        band.send(LINK_UP)
        await until(lambda: band.received, "the band is there")
        nonce = await made.ask("sos_number", BAND, json.dumps({"slot": 1, "number": "13800138000"}))
        await until(lambda: b"SOS1,13800138000" in band.received, "asked")
        band.send(frames.watch("SOS1"))
        await made.answered(nonce)
        await made.answered(await made.ask("sos_number", BAND, json.dumps({"slot": 9, "number": "13800138000"})))
        assert made.agent.said("device_command") and "13800138000" not in "".join(made.agent.lines)


class NoLink:
    """Takes whatever it is given."""

    name, flow, port, connections = "none", None, 0, 0

    def __init__(self) -> None:
        self.given: list[DeviceCommand] = []
        self.crash = False

    def command(self, command: DeviceCommand, now: object) -> None:
        if command.args:
            raise CommandRefused("not so")
        self.given.append(command)


async def test_only_so_many_wait_for_their_devices() -> None:
    link, answers = NoLink(), list[Any]()
    made = DeviceCommands("gw", {BAND}, lambda: [(FAMILIES["watch"], link)], answers.append)  # type: ignore[list-item]
    for number in range(WAITING_MAX):
        assert made.send(command(action="device.find", target=BAND, value="", nonce=f"n-{number}"), clock.now()) == ""
    more = command(action="device.find", target=BAND, value="{}", nonce="more")
    assert made.send(more, clock.now()) == "too many commands wait for their devices"
    made.answered(CommandAnswer(nonce="n-3", result="confirmed"))
    made.answered(CommandAnswer(nonce="n-3", result="confirmed"))
    made.answered(CommandAnswer(nonce="unknown", result="confirmed"))
    assert [answer.nonce for answer in answers] == ["n-3"]
    assert made.send(more, clock.now()) == ""
    assert len(link.given) == WAITING_MAX + 1


@pytest.mark.parametrize("value", ["", "{}"])
async def test_no_arguments_may_be_said_in_two_ways(value: str) -> None:
    link = NoLink()
    made = DeviceCommands("gw", {BAND}, lambda: [(FAMILIES["watch"], link)], lambda answer: None)  # type: ignore[list-item]
    asked = command(action="device.find", target=BAND, value=value)
    assert (made.cannot(asked), made.send(asked, clock.now())) == ("", "")
    assert link.given == [DeviceCommand(nonce="n-1", native_id="8800000015", action="find")]

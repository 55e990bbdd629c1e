"""A few devices of each simulated family on their real links, played at speed: what came of it.

The edge's links are the ones that a generated edge file names, before a real spool.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from devices.families import FAMILIES
from devices.observation import Alarm, Event, Observation, Position
from edge import config, link_kinds
from edge.flow import SWEEP_S, Link
from edge.links_mqtt import MqttLink
from edge.turns import Turns
from simulators import commands
from simulators.device import Accepted
from simulators.play import Ledger, Play
from simulators.scenario import load
from tests.edge.site import until
from tests.edge.wired import Behind, behind

SPEED = 30
PLAYED_S_MAX = 60


class Case(NamedTuple):
    """`devices`: tables of a scenario; {port} is a free one, {broker} the broker's, {folder} a folder of the test.
    `acts`: (seconds, device, action). `timed`: reports carry the device's own time. `confirmed`: by wire or transport,
    and two copies of a report can be told from two reports."""

    devices: str
    acts: tuple[tuple[float, str, str], ...]
    timed: bool = True
    duration_s: int = 60
    confirmed: bool = True


def device(family: str, native_id: str, settings: str = "", every: float = 0.5, **keys: object) -> str:
    given = {"family": f'"{family}"', "id": f'"{native_id}"', "port": "{port}"} | keys
    given["settings"] = "{ " + ", ".join(filter(None, (f"report_every_s = {every}", settings))) + " }"
    return "[[devices]]\n" + "".join(f"{key} = {value}\n" for key, value in given.items())


class Outcome(NamedTuple):
    accepted: list[Accepted]
    said: list[Accepted]
    stored: list[Observation]
    unanswered: int


def scenario_text(case: Case, faults: str, folder: Path, broker: int) -> str:
    text = f"duration_s = {case.duration_s}\n{case.devices}"
    for at_s, device, action in case.acts:
        text += f'[[events]]\nat_s = {at_s}\ndevice = "{device}"\naction = "{action}"\n'
    for number in range(1, 4):
        text = text.replace(f"{{port{number}}}", str(free_port()))
    return text.replace("{port}", str(free_port())).replace("{broker}", str(broker)).replace(
        "{folder}", str(folder / "dropped")
    ) + (f"[faults]\n{faults}\n" if faults else "")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@asynccontextmanager
async def links_of(edge_file: Path, made: Behind) -> AsyncIterator[list[Link]]:
    """Open, and those that have somebody to be heard by, heard."""
    site = config.load(edge_file, FAMILIES)
    async with AsyncExitStack() as stack:
        links = []
        for told in site.links:
            family = FAMILIES[told.family]
            settings = config.family_settings(told, family, site.time_zone)
            names = [device.id.partition(":")[2] for device in site.devices if device.id.startswith(f"{told.family}:")]
            link = link_kinds.build(told, made.wiring(settings, *names), family, Turns(), edge_file.parent.name)
            links.append(link)
            await link.open()
            stack.push_async_callback(link.close)
            stack.callback(link.stop_reading)
        sweeping = asyncio.ensure_future(_sweep(links))
        stack.callback(sweeping.cancel)
        brokers = [link for link in links if isinstance(link, MqttLink)]
        await until(lambda: all(link.connections for link in brokers), "subscribed")
        yield links


async def _sweep(links: list[Link]) -> None:
    while True:
        for link in links:
            link.sweep()
        await asyncio.sleep(SWEEP_S)


async def played(case: Case, folder: Path, broker: int, faults: str = "") -> Outcome:
    """Everything that was accepted or said is there, or time is over."""
    file, edge_file, ledger = folder / "scenario.toml", folder / "links.toml", folder / "ledger.jsonl"
    file.write_text(scenario_text(case, faults, folder, broker))
    told: list[str] = []
    assert commands.run([str(file), "--check", "--edge-file", str(edge_file)], told.append) == 0, told
    said: list[Accepted] = []
    play = Play(load(file), SPEED, Ledger(ledger), lambda text: None, said.extend)
    async with behind(folder) as made, links_of(edge_file, made):
        async with asyncio.timeout(PLAYED_S_MAX):
            unanswered = await play.run()
        accepted = [msgspec.json.decode(line, type=Accepted) for line in ledger.read_bytes().splitlines()]

        def stored() -> list[Observation]:
            return [*made.rows("urgent"), *made.rows("routine")]

        owed = {fact_of_row(row, case.timed) for row in [*accepted, *said]}
        with contextlib.suppress(AssertionError):  # the test shows what is missing
            await until(lambda: owed <= {fact_of(row, case.timed) for row in stored()}, "stored", 5)
        return Outcome(accepted, said, stored(), unanswered)


Fact = tuple[Any, ...]


def fact_of_row(row: Accepted, timed: bool) -> Fact:
    """What is compared of a row: which device said what of which part, and when."""
    at = row.observed_at if timed else None
    if row.kind == "position":
        return row.device, "position", "", at, round(row.values["longitude"], 4), round(row.values["latitude"], 4)
    if row.kind == "telemetry":
        return row.device, "telemetry", row.component, at if timed else ""
    return row.device, row.kind, row.component, at, row.values.get("raised")


def fact_of(stored: Observation, timed: bool) -> Fact:
    at, body = stored.observed_at if timed else None, stored.body
    if isinstance(body, Position):
        return stored.device, "position", "", at, round(body.longitude, 4), round(body.latitude, 4)
    if isinstance(body, Alarm | Event):
        return stored.device, body.kind, body.component, at, body.raised if isinstance(body, Alarm) else None
    return stored.device, "telemetry", getattr(body, "component", ""), at if timed else ""


def differences(outcome: Outcome, timed: bool) -> dict[Fact, tuple[int, int]]:
    """Fact -> how often it was told and how often it is there, where that is not the same."""
    told = Counter(fact_of_row(row, timed) for row in [*outcome.accepted, *outcome.said])
    held = Counter(fact_of(row, timed) for row in outcome.stored)
    measured = {fact for fact in told if fact[1] == "telemetry"}  # of several parts: at least there
    wrong = {fact: (count, held[fact]) for fact, count in told.items() if fact not in measured and held[fact] != count}
    return wrong | {fact: (told[fact], 0) for fact in measured if not held[fact]}


DETECTOR, BUTTON = "24e12422115a212f", "24e124221150aaaa"
MAC, TAG = "88:de:39:5d:b5:e1", "C0:FF:EE:00:00:02"
LOGIN = {"username": '"viewer"', "password": '"secret"'}
GATE = "33010200001190000001"
URN = "urn:dev:mac:0024befffe804ff1"
CASES: dict[str, Case] = {
    "aprs": Case(device("aprs", "BH4ABC-7"), ((10, "aprs:BH4ABC-7", "emergency"),), timed=False, confirmed=False),
    "dahua": Case(
        device("dahua", "gate", "heartbeat_s = 1", **LOGIN),
        ((10, "dahua:gate", "fire"), (30, "dahua:gate", "fire_over")),
        confirmed=False,
    ),
    "frigate": Case(
        device("frigate", "gate", port="{broker}"),
        ((10, "frigate:gate", "intruder"), (30, "frigate:gate", "intruder_gone")),
    ),
    "mapped": Case(
        device("mapped", "17", every=4, path='"{folder}"'),
        ((10, "mapped:17", "smoke"), (30, "mapped:17", "smoke_over")),
    ),
    "meokon": Case(
        device("meokon", "SHMK19060013"),
        ((10, "meokon:SHMK19060013", "pressure_low"), (40, "meokon:SHMK19060013", "pressure_normal")),
        confirmed=False,
    ),
    "nmea": Case(device("nmea", "4711"), ((10, "nmea:4711", "fault"), (30, "nmea:4711", "repaired")), confirmed=False),
    "nmea-tcp": Case(device("nmea", "4711", link='"tcp"'), ((10, "nmea:4711", "fault"),), confirmed=False),
    "nmea-dialled": Case(device("nmea", "4711", link='"tcp_server"'), ((10, "nmea:4711", "fault"),), confirmed=False),
    "senml": Case(
        device("senml", URN, port="{broker}"), ((10, f"senml:{URN}", "smoke"), (30, f"senml:{URN}", "smoke_over"))
    ),
    "tetra": Case(
        device("tetra", "1234567", path='"{folder}"') + device("tetra", "1234568", path='"{folder}"'),
        ((10, "tetra:1234567", "emergency"), (40, "tetra:1234568", "emergency")),
        timed=False,
    ),
    **{
        f"tetra-{link}": Case(
            device("tetra", "1234567", link=f'"{link}"'), ((10, "tetra:1234567", "emergency"),), timed=False
        )
        for link in ("tcp", "tcp_server", "udp")
    },
    "ble": Case(device("ble", TAG, port="{broker}"), ((10, f"ble:{TAG}", "press"),), timed=False, confirmed=False),
    "ble-bthome": Case(
        device("ble", TAG, "bthome = true", port="{broker}"),
        ((10, f"ble:{TAG}", "press"), (50, f"ble:{TAG}", "press")),
        timed=False,
        confirmed=False,
    ),
    "cot": Case(
        device("cot", "PHONE-7"), ((10, "cot:PHONE-7", "emergency"), (40, "cot:PHONE-7", "cancel")), confirmed=False
    ),
    "cot-udp": Case(device("cot", "PHONE-7", link='"udp"'), ((10, "cot:PHONE-7", "emergency"),), confirmed=False),
    "dmr": Case(
        device("dmr", "20", "heartbeat_s = 1", source='"127.0.0.20"'),
        ((10, "dmr:20", "emergency"), (40, "dmr:20", "emergency")),
    ),
    "dmr-motorola": Case(
        device(
            "dmr",
            "11",
            'heartbeat_s = 1, maker = "motorola", ars_port = {port1}, lrrp_port = {port2}, tms_port = {port3}',
            source='"127.0.0.11"',
        ),
        ((10, "dmr:11", "emergency"), (40, "dmr:11", "emergency")),
        confirmed=False,
    ),
    "gat1400": Case(
        device("gat1400", GATE, 'heartbeat_s = 1, password = "secret"'),
        ((10, f"gat1400:{GATE}", "match"), (40, f"gat1400:{GATE}", "match")),
    ),
    "onvif": Case(
        device("onvif", "door"),
        ((20, "onvif:door", "forced"), (40, "onvif:door", "forced_over"), (80, "onvif:door", "duress")),
        duration_s=120,
        confirmed=False,
    ),
    "osdp": Case(
        device("osdp", "bus/1", path='"{folder}"') + device("osdp", "bus/2", path='"{folder}"'),
        ((60, "osdp:bus/1", "tamper"), (90, "osdp:bus/2", "tamper")),
        timed=False,
        duration_s=150,
        confirmed=False,
    ),
    "hikvision": Case(
        device("hikvision", MAC, "heartbeat_s = 1", **LOGIN),
        ((10, f"hikvision:{MAC}", "forced"), (30, f"hikvision:{MAC}", "emergency_button")),
        confirmed=False,
    ),
    "hikvision_push": Case(
        device("hikvision_push", MAC),
        ((10, f"hikvision_push:{MAC}", "forced"), (30, f"hikvision_push:{MAC}", "fire_input")),
    ),
    "modbus": Case(
        device("modbus", "hall-a") + device("modbus", "hall-b", 'unit = 2, map = "jxct_th"'),
        ((60, "modbus:hall-a", "smoke"),),
        timed=False,
        duration_s=200,
        confirmed=False,
    ),
    "zigbee2mqtt": Case(
        device("zigbee2mqtt", "hall/smoke_1", port="{broker}"),
        (
            (10, "zigbee2mqtt:hall/smoke_1", "smoke"),
            (20, "zigbee2mqtt:hall/smoke_1", "smoke_over"),
            (30, "zigbee2mqtt:hall/smoke_1", "press"),
        ),
    ),
    "gbt26875": Case(
        device("gbt26875", "889", "heartbeat_s = 1"),
        ((10, "gbt26875:889", "smoke"), (30, "gbt26875:889", "clear"), (45, "gbt26875:889", "reset")),
    ),
    "jt808": Case(
        device("jt808", "13957300001", "heartbeat_s = 1"),
        ((10, "jt808:13957300001", "overspeed"), (30, "jt808:13957300001", "overspeed_over")),
    ),
    "lorawan": Case(
        device("lorawan", DETECTOR, port="{broker}")
        + device(
            "lorawan",
            BUTTON,
            'model = "ws101", server = "the_things_stack", application = "hall@venue"',
            port="{broker}",
        ),
        (
            (10, f"lorawan:{DETECTOR}", "smoke"),
            (20, f"lorawan:{BUTTON}", "press"),
            (30, f"lorawan:{DETECTOR}", "smoke_over"),
            (50, f"lorawan:{BUTTON}", "press"),
        ),
    ),
    "sia_dc09": Case(
        device("sia_dc09", "1234", "heartbeat_s = 1"),
        ((10, "sia_dc09:1234", "fire"), (20, "sia_dc09:1234", "fire_over"), (30, "sia_dc09:1234", "panic")),
    ),
    "sia_dc09-udp": Case(
        device("sia_dc09", "1234", link='"udp"'), ((10, "sia_dc09:1234", "fire"), (40, "sia_dc09:1234", "duress"))
    ),
    "watch": Case(
        device("watch", "8800000001", "link_every_s = 1"),
        ((10, "watch:8800000001", "sos"), (30, "watch:8800000001", "off_wrist")),
    ),
}

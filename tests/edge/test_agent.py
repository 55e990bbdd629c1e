"""The agent as a process: the main job through a real broker, polite and impolite ends, each failure in one line."""

import contextlib
import itertools
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devices.documents import Document, sign
from devices.observation import Alarm, DeviceId, Event, Telemetry
from edge import clock
from edge.fences import KEPT
from edge.reports import Reports
from edge.spool_file import SpoolFile
from simulators.modbus_unit import ModbusUnit
from tests.conftest import BrokerAddress
from tests.devices import frames
from tests.edge import site
from tests.edge.hub_side import HubSide
from tests.edge.process import AgentProcess
from tests.edge.site import PANEL, TERMINAL, Device, until

_numbers = itertools.count(1)
NO_BROKER = {"port": 1}


@pytest.fixture
def gateway() -> str:
    return f"agent-{next(_numbers)}"


def kinds(hub: HubSide) -> list[tuple[str, str]]:
    return [(row.device, row.body.kind) for row in hub.rows["urgent"] if isinstance(row.body, Alarm | Event)]


async def test_the_main_job_from_the_wire_to_the_broker_and_a_polite_end(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    config = site.write(tmp_path, gateway=gateway, broker={"port": broker.port})
    async with HubSide(*broker, gateway) as hub, AgentProcess(config) as agent:
        await until(lambda: agent.said("uplink_connected"), "connected")
        async with Device(agent.port("gbt26875")) as panel, Device(agent.port("jt808")) as terminal:
            panel.send(site.smoke())
            terminal.send(site.location())
            await until(lambda: panel.confirmed == 1 and terminal.received, "answered")
            await until(lambda: (tmp_path / "siren").read_text() == "1", "the siren is on")
            await until(lambda: (PANEL, "smoke") in kinds(hub), "the alarm is at the hub")
            await until(
                lambda: len([row for row in hub.rows["routine"] if row.device == TERMINAL]) == 2, "and the rest"
            )
            [smoke] = [row for row in hub.rows["urgent"] if row.device == PANEL and row.body.kind == "smoke"]  # type: ignore[union-attr]
            assert smoke.zone == "hall" and smoke.body == Alarm(  # type: ignore[comparison-overlap]
                kind="smoke",
                component="1-3-0x00000012",
                description=smoke.body.description,  # type: ignore[union-attr]
            )
            await until(lambda: (f"gateway:{gateway}", "actuator") in kinds(hub), "the record of the act")
            [act] = [row.body.attributes for row in hub.rows["urgent"] if getattr(row.body, "kind", "") == "actuator"]  # type: ignore[union-attr]
            assert act == {"name": "siren", "state": "on", "cause": f"rule smoke-siren: smoke of {PANEL}"}
            await until(lambda: hub.states[-1].actuators == {"siren": "on"}, "the state tells of it")
            assert (f"gateway:{gateway}", "started_up") in kinds(hub)
            [health] = [row.body for row in hub.rows["routine"] if row.device == f"gateway:{gateway}"]
            assert isinstance(health, Telemetry) and {"spool_rows", "disk_free_mb"} < set(health.values)
            assert await agent.stop() == 0
            await until(lambda: panel.ended and terminal.ended, "links are closed")
        await until(lambda: not hub.states[-1].online, "offline is published")
        assert hub.states[-1].at is not None, "by the agent itself, not by its will"
    assert [json.loads(line)["event"] for line in agent.lines][-2:] == ["stopping", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_politely_without_a_broker_too(tmp_path: Path, number: signal.Signals) -> None:
    async with AgentProcess(site.write(tmp_path, broker=NO_BROKER)) as agent:
        await until(lambda: agent.said("uplink_lost"), "told")
        assert await agent.stop(number) == 0
    told = [json.loads(line)["event"] for line in agent.lines]
    assert sorted(told[:2]) == ["started", "uplink_lost"] and told[2:] == ["stopping", "stopped"]


async def test_idle_strangers_in_any_number_leave_the_siren_and_the_panel_alone(tmp_path: Path) -> None:
    links = [
        {"name": name, "kind": "tcp_server", "family": name, "port": 0, "connections_max": 40}
        for name in ("gbt26875", "watch")
    ]
    config = site.write(tmp_path, broker=NO_BROKER, links=links)
    async with AgentProcess(config, open_max=(64, 300)) as agent, contextlib.AsyncExitStack() as stack:
        for link in ("watch", "gbt26875"):
            for _ in range(150):
                await stack.enter_async_context(Device(agent.port(link)))
        await until(lambda: agent.said("link_full"), "they are more than a link takes")
        async with Device(agent.port("gbt26875")) as panel:
            panel.send(site.smoke())
            await until(lambda: panel.confirmed == 1, "the panel is heard")
            await until(lambda: (tmp_path / "siren").read_text() == "1", "the siren is on")
        assert await agent.stop() == 0
        assert not agent.said("link_cannot_accept") and not agent.said("actuator_failed")


async def test_a_siren_on_a_coil_needs_neither_hub_nor_broker(tmp_path: Path) -> None:
    async with ModbusUnit() as unit:
        siren = {"name": "siren", "kind": "modbus_coil", "host": "127.0.0.1", "port": unit.port, "coil": 5}
        config = site.write(tmp_path, broker=NO_BROKER, actuators=[siren])
        async with AgentProcess(config) as agent, Device(agent.port("gbt26875")) as panel:
            panel.send(site.smoke())
            await until(lambda: unit.coil(5), "the siren is on")
            await until(lambda: panel.confirmed == 1, "the panel is answered")
            assert await agent.stop() == 0


async def test_what_was_accepted_before_kill_9_arrives_once(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    offline = site.write(tmp_path, gateway=gateway, broker=NO_BROKER)
    confirmed = 0
    for _ in range(3):
        async with AgentProcess(offline) as agent, Device(agent.port("gbt26875")) as panel:
            if confirmed:
                panel.send(site.smoke(confirmed, confirmed))
                await until(lambda: panel.confirmed == 1, "a second delivery is answered")
            before = panel.confirmed
            for serial in range(confirmed + 1, confirmed + 21):
                panel.send(site.smoke(serial, serial))
            await until(lambda: panel.confirmed >= before + 20, "confirmed")  # noqa: B023
            confirmed += 20
            await agent.stop(signal.SIGKILL)
    online = site.write(tmp_path, gateway=gateway, broker={"port": broker.port})
    async with HubSide(*broker, gateway) as hub, AgentProcess(online):
        await until(lambda: kinds(hub).count((PANEL, "smoke")) >= confirmed, "all arrive")
        await until(lambda: kinds(hub).count((f"gateway:{gateway}", "started_up")) == 4, "up to the newest row")
        smokes = [row.body.component for row in hub.rows["urgent"] if row.body.kind == "smoke" and row.body.raised]  # type: ignore[union-attr]
        assert smokes == [f"1-3-0x{number:08x}" for number in range(1, confirmed + 1)]
        assert hub.refused == 0 and not any(hub.gaps.values())


async def test_zones_and_commands_of_the_hub_are_obeyed(tmp_path: Path, broker: BrokerAddress, gateway: str) -> None:
    key = Ed25519PrivateKey.generate()
    public = tmp_path / "hub.pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    config = site.write(tmp_path, gateway=gateway, broker={"port": broker.port}, hub_public_key_file=str(public))
    square = [[120, 30], [121, 30], [121, 31], [120, 31], [120, 30]]
    now = clock.now()
    zones = {"zones": [{"id": "yard", "shape": {"type": "Polygon", "coordinates": [square]}}]}
    document = Document(
        name="zones", version=4, audience="*", issued_at=now, expires_at=now + timedelta(days=1), body=zones
    )
    site.acted_before(tmp_path / "state")
    async with HubSide(*broker, gateway) as hub:
        await hub.say("down/zones", sign(document, key), retain=True)
        async with AgentProcess(config) as agent:
            await until(lambda: agent.said("document_accepted"), "the zones are drawn")
            async with Device(agent.port("watch")) as band:
                band.send(frames.watch(frames.SOS_CONTENT))
                await until(lambda: any(row.zone == "yard" for row in hub.rows["urgent"]), "the alarm is in the yard")
            command = site.command(gateway)
            await hub.say("cmd", sign(command, key))
            await until(lambda: len(hub.results) == 2, "answered")
            assert [result["result"] for result in hub.results] == ["accepted", "confirmed"]
            assert (tmp_path / "siren").read_text() == "1"
            await hub.say("cmd", sign(command, key))
            await until(lambda: agent.said("command_refused"), "a replay is refused")
            (tmp_path / "siren").write_text("0")
            await agent.stop(signal.SIGKILL)
        async with AgentProcess(config) as agent:
            await until(lambda: agent.said("uplink_connected"), "connected")
            await hub.say("cmd", sign(command, key))
            await until(lambda: agent.said("command_refused"), "and after a restart")
            assert (tmp_path / "siren").read_text() == "0"
            await agent.stop()
    assert "operator" not in "".join(agent.lines)


async def test_the_track_of_a_device_that_is_enrolled_no_more_is_forgotten_at_the_start(tmp_path: Path) -> None:
    config = site.write(tmp_path, broker=NO_BROKER)
    async with AgentProcess(config) as agent, Device(agent.port("jt808")) as terminal:
        terminal.send(site.location())
        await until(lambda: terminal.received, "answered")
        await agent.stop()
    assert list(tracks_kept(tmp_path)) == [f"track:{TERMINAL}"]
    async with AgentProcess(config) as agent:
        await agent.stop()
    assert tracks_kept(tmp_path)[f"track:{TERMINAL}"] != "", "it is enrolled"
    others = [one for one in site.told(tmp_path)["devices"] if one["id"] != TERMINAL]
    async with AgentProcess(site.write(tmp_path, broker=NO_BROKER, devices=others)) as agent:
        await agent.stop()
    assert not any(tracks_kept(tmp_path).values())


def tracks_kept(folder: Path) -> dict[str, str]:
    file = SpoolFile(folder / "state", 1_000_000, 0, Reports(10), DeviceId("gateway:test"))
    file.open(clock.now())
    try:
        return file.all_kept(KEPT)
    finally:
        file.close()


async def test_metrics_are_served_on_loopback(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = site.write(tmp_path, broker=NO_BROKER, metrics_port=port)
    async with AgentProcess(config) as agent:

        def text() -> str:
            return str(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())

        await until(lambda: "gridward_edge_spool_urgent_rows 1.0" in text(), "the start is stored")
        assert "gridward_edge_uplink_connected 0.0" in text()
        assert await agent.stop() == 0


# --- one line for what goes wrong --------------------------------------------------------------------


def run(*words: str, open_max: int = 0) -> tuple[int, list[str]]:
    """Exit code and lines of stderr; `open_max`: how many files it may have open."""
    limit = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({open_max}, {open_max})); " if open_max else ""
    )
    argv = [
        sys.executable,
        "-c",
        f"{limit}import sys, runpy; runpy.run_module('edge', run_name='__main__', alter_sys=True)",
        *words,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip().splitlines()


def refused(tmp_path: Path, *words: str, **changes: Any) -> tuple[int, str]:
    code, lines = run("--config", str(site.write(tmp_path, broker=NO_BROKER, **changes)), *words)
    assert len(lines) == 1 and lines[0].startswith(f"{tmp_path / 'edge.toml'}: ")
    return code, lines[0]


def test_a_good_file_is_checked_without_starting_anything(tmp_path: Path) -> None:
    assert run("--config", str(site.write(tmp_path)), "--check") == (0, [])
    assert not (tmp_path / "state").exists()


def test_a_bad_file_is_one_line_and_exit_2_with_check_and_without(tmp_path: Path) -> None:
    for words in (("--check",), ()):
        code, line = refused(tmp_path, *words, site="Wuzhen!")
        assert code == 2 and "site" in line


def test_links_that_may_take_every_descriptor_are_refused_with_check_and_without(tmp_path: Path) -> None:
    config = str(site.write(tmp_path, broker=NO_BROKER))
    told = "links.connections_max: 3000 in sum; at most 870, because this process may open 1024 files and keeps 154"
    for words in (("--check",), ()):
        code, lines = run("--config", config, *words, open_max=1_024)
        assert code == 2 and len(lines) == 1 and lines[0].startswith(f"{config}: {told}")
    assert run("--config", config, "--check", open_max=4_096) == (0, [])
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "broker.password_file"), (b"no key", "hub_public_key_file"), (None, "no file")]
)
def test_secrets_that_are_none_are_one_line(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    key = "hub_public_key_file" if content else "broker.password_file"
    config = tmp_path / "edge.toml"
    changes: dict[str, Any] = (
        {"hub_public_key_file": str(path)} if content else {"broker": {"password_file": str(path)}}
    )
    config.write_text(site.toml_text({**site.told(tmp_path), **changes}, "for a test"))
    code, lines = run("--config", str(config), "--check")
    assert code == 2 and len(lines) == 1 and key in lines[0] and reason in lines[0]


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        link = {"name": "panels", "kind": "tcp_server", "family": "gbt26875", "port": port}
        code, line = refused(tmp_path, links=[link])
        assert code == 1 and f"link panels: cannot listen on 127.0.0.1:{port}: address already in use" in line.lower()
        code, line = refused(tmp_path, metrics_port=port)
        assert code == 1 and "metrics_port" in line


async def test_a_spool_in_use_is_one_line(tmp_path: Path) -> None:
    async with AgentProcess(site.write(tmp_path, broker=NO_BROKER)):
        code, line = refused(tmp_path)
        assert code == 1 and line.endswith("spool.sqlite: in use by another process")


def test_a_state_dir_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, line = refused(tmp_path, state_dir=str(tmp_path / "file" / "state"))
    assert code == 1 and "state_dir" in line


async def test_a_full_disk_is_told_once_and_the_siren_works(small_disk: Path, tmp_path: Path) -> None:
    config = site.write(tmp_path, broker=NO_BROKER, state_dir=str(small_disk / "state"))
    async with AgentProcess(config) as agent, Device(agent.port("gbt26875")) as panel:
        with pytest.raises(OSError, match="No space"):
            (small_disk / "ballast").write_bytes(bytes(60_000_000))
        panel.send(site.smoke())
        await until(lambda: agent.said("spool_failing"), "told")
        await until(lambda: panel.ended, "not answered")
        await until(lambda: (tmp_path / "siren").read_text() == "1", "the siren is on")
        (small_disk / "ballast").unlink()
        await until(lambda: agent.said("spool_recovered"), "its own events prove that the disk takes rows again")
        async with Device(agent.port("gbt26875")) as again:
            again.send(site.smoke())
            await until(lambda: again.confirmed == 1, "answered")
        assert await agent.stop() == 0
    assert len(agent.said("spool_failing")) == len(agent.said("spool_recovered")) == 1


def test_a_new_spool_on_a_full_disk_is_one_line(small_disk: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "ballast").write_bytes(bytes(60_000_000))
    code, line = refused(tmp_path, state_dir=str(small_disk / "state"))
    assert code == 1 and "state_dir" in line


def test_help_has_an_example() -> None:
    done = subprocess.run([sys.executable, "-m", "edge", "--help"], capture_output=True, text=True, check=True)
    assert "Example: python -m edge --config" in done.stdout


async def test_a_wrong_broker_password_is_one_line_and_the_agent_works_on(tmp_path: Path, server_home: Path) -> None:
    from gridward.broker import free_port, mosquitto

    program = mosquitto()
    if program is None:
        pytest.skip("only mosquitto has accounts")
    port, folder = free_port(), server_home / "accounts"
    folder.mkdir(exist_ok=True)
    (folder / "conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous false\n")
    (tmp_path / "word").write_text("wrong\n")
    broker = {"port": port, "username": "gw", "password_file": str(tmp_path / "word")}
    config = site.write(tmp_path, broker=broker)
    with subprocess.Popen([program, "-c", str(folder / "conf")], stderr=subprocess.DEVNULL) as server:
        try:
            async with AgentProcess(config) as agent, Device(agent.port("gbt26875")) as panel:
                await until(lambda: "authori" in str(agent.said("uplink_lost")).lower(), "told")
                panel.send(site.smoke())
                await until(lambda: panel.confirmed == 1, "answered")
                assert await agent.stop() == 0
            assert len(agent.said("uplink_lost")) == 1 and "wrong" not in "".join(agent.lines)
        finally:
            server.terminate()


async def test_a_device_is_lost_after_its_own_silence(tmp_path: Path, broker: BrokerAddress, gateway: str) -> None:
    devices = [{"id": PANEL, "silence_s": 1}, {"id": TERMINAL}]
    config = site.write(tmp_path, gateway=gateway, broker={"port": broker.port}, devices=devices, rules=[])
    async with HubSide(*broker, gateway) as hub, AgentProcess(config):
        await until(lambda: (PANEL, "lost_contact") in kinds(hub), "the panel is lost")
        assert (TERMINAL, "lost_contact") not in kinds(hub)

"""`gridward devices`: an installer at the keyboard, a real edge file, a real line, a real hub."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devices.families import FAMILIES
from devices.observation import DeviceId, Event, Observation
from edge.config import load
from gridward import enrol
from tests.devices import frames
from tests.edge import site
from tests.gridward.test_cli import gridward
from tests.hub.api_world import NAME, PASSWORD, world

KNOCKED = '{"event": "device_not_enrolled", "link": "panels", "device": "gbt26875:77", "at": "2026-11-24T12:29:50Z"}'
COMMANDS = ("list", "enrol", "test", "command")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_an_example(command: str) -> None:
    said = gridward("devices", command, "--help")
    assert said.returncode == 0
    assert f"Example: gridward devices {command}" in said.stdout


# --- enrol ---------------------------------------------------------------------------------------


def test_enrol_adds_to_the_end_and_keeps_all_that_was_there(tmp_path: Path) -> None:
    file = site.write(tmp_path)
    file.write_text(before := f"# by hand, on site\n{file.read_text()}# the end")
    file.chmod(0o640)
    said = gridward("devices", "enrol", str(file), "gbt26875:890", "--name", "Hall B", "--zone", "hall-b")
    assert (said.returncode, said.stderr) == (0, "")
    assert file.read_text().startswith(before)
    assert [(one.id, one.name, one.zone) for one in load(file, FAMILIES).devices][-1] == (
        "gbt26875:890",
        "Hall B",
        "hall-b",
    )
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["edge.toml"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("gbt26875:889",), "gbt26875:889 is given 2 times"),
        (("ftp:1",), "unknown family 'ftp'"),
        (("889",), "devices[3].id"),
        (("gbt26875:890", "--longitude", "120"), "longitude and latitude belong together"),
        ((), "--from-log"),
        (("gbt26875:890", "--unknown"), "not both"),
        (("--from-log", "/no/log"), "/no/log"),
    ],
)
def test_a_device_that_cannot_be_enrolled_changes_nothing(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    file = site.write(tmp_path)
    before = file.read_bytes()
    said = gridward("devices", "enrol", str(file), *words)
    assert said.returncode == 2
    assert told in said.stderr and said.stderr.count("\n") == 1
    assert file.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_enrol_says_why_a_file_cannot_be_added_to(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('site = "a"\ngateway = "b"\nstate_dir = "c"\ndevices = [{id = "watch:8800000015"}]\n')
    with pytest.raises(enrol.EnrolError, match=f"^{file}: not TOML"):
        enrol.enrol(file, [{"id": "watch:8800000016"}])


def test_who_knocked_is_shown_and_enrolled_only_when_a_person_says_so(tmp_path: Path) -> None:
    file, log = site.write(tmp_path), tmp_path / "edge.log"
    other = KNOCKED.replace("gbt26875:77", "gbt26875:889")  # is enrolled
    log.write_bytes(b'{"event": "started"}\nnoise \xff\n' + f"{KNOCKED}\n{KNOCKED}\n{other}\n".encode())
    shown = gridward("devices", "enrol", str(file), "--from-log", str(log))
    assert shown.stdout.split() == ["gbt26875:77", "panels", "2026-11-24T12:29:50Z"]
    assert len(load(file, FAMILIES).devices) == 3
    assert gridward("devices", "enrol", str(file), "--from-log", str(log), "--all").returncode == 0
    assert load(file, FAMILIES).devices[-1].id == "gbt26875:77"
    assert "0 enrolled" in gridward("devices", "enrol", str(file), "--from-log", str(log), "--all").stdout


# --- test ----------------------------------------------------------------------------------------


@contextmanager
def listening(*words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`gridward devices test` that listens, and on which port."""
    argv = [sys.executable, "-m", "gridward", "devices", "test", *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        try:
            told = running.stderr.readline()
            assert told.startswith("listening on port "), told
            yield running, int(told.split()[3])
        finally:
            running.terminate()


def first_line(running: "subprocess.Popen[str]") -> dict[str, object]:
    assert running.stdout is not None
    found: dict[str, object] = json.loads(running.stdout.readline())
    return found


def test_a_panel_is_heard_and_answered_before_anybody_enrolled_it(tmp_path: Path) -> None:
    with listening("gbt26875", "--tcp", "0", "--host", "127.0.0.1") as (running, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as panel:
            panel.sendall(site.smoke())
            assert panel.recv(100).startswith(b"@@")
            heard = first_line(running)["observation"]
        assert isinstance(heard, dict)
        assert (heard["device"], heard["body"]["kind"]) == (site.PANEL, "smoke")
        running.terminate()
        assert running.wait(20) == 0


def test_a_link_of_the_edge_s_file_is_listened_to_as_the_file_says(tmp_path: Path) -> None:
    links = [{"name": "radios", "kind": "udp_server", "family": "nmea", "port": 0, "settings": {"device": "boat"}}]
    file = site.write(tmp_path, links=links, devices=[{"id": "nmea:boat"}], rules=[])
    with listening("--edge", str(file), "--link", "radios") as (running, port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as radio:
            radio.sendto(frames.nmea("AIALR,122950.00,006,A,V,AIS:general failure"), ("127.0.0.1", port))
        heard = first_line(running)["observation"]
        assert isinstance(heard, dict) and heard["device"] == "nmea:boat"


def test_silence_is_told_by_the_exit_code() -> None:
    said = gridward("devices", "test", "watch", "--tcp", "0", "--host", "127.0.0.1", "--seconds", "0.2")
    assert (said.returncode, said.stdout, said.stderr.count("\n")) == (1, "", 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "a FAMILY and one of --tcp"),
        (("watch",), "a FAMILY and one of --tcp"),
        (("watch", "--tcp", "1", "--udp", "1"), "a FAMILY and one of --tcp"),
        (("ftp", "--tcp", "0"), "no family 'ftp'"),
        (("watch", "--udp", "0"), "watch does not run on udp_server; it does on tcp_server"),
        (("watch", "--tcp", "0", "--settings", "/no/settings"), "/no/settings"),
        (("--edge", "/no/edge.toml", "--link", "a"), "/no/edge.toml"),
    ],
)
def test_a_wrong_wish_is_one_line(words: tuple[str, ...], told: str) -> None:
    said = gridward("devices", "test", *words)
    assert said.returncode == 2
    assert told in said.stderr and said.stderr.count("\n") == 1


def test_a_port_in_use_and_a_folder_are_one_line(tmp_path: Path) -> None:
    folder = {"name": "files", "kind": "folder", "family": "mapped", "path": str(tmp_path)}
    file = site.write(tmp_path, links=[folder], devices=[], rules=[])
    said = gridward("devices", "test", "--edge", str(file), "--link", "files")
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = gridward("devices", "test", "watch", "--tcp", port, "--host", "127.0.0.1")
    assert said.returncode == 2
    assert "cannot listen" in said.stderr and said.stderr.count("\n") == 1


# --- with a hub ----------------------------------------------------------------------------------


async def test_list_enrol_and_command_through_the_hub(postgres: str, tmp_path: Path) -> None:
    file, word = site.write(tmp_path, gateway="gw-1"), tmp_path / "password"
    word.write_text(f"{PASSWORD}\n")
    async with world(postgres) as hub, hub.served() as url:
        log_in = ("--hub", url, "--user", NAME, "--password-file", str(word))
        await hub.smoke()
        now = datetime.now(UTC)
        knocked = Event(kind="unknown_device", attributes={"device": "watch:8800000099", "link": "bands"})
        await hub.observe(Observation(device=DeviceId("gateway:gw-1"), observed_at=now, received_at=now, body=knocked))

        listed = await _ran("list", str(file), *log_in)
        assert listed.returncode == 0, listed.stderr
        panel, band = (
            next(line for line in listed.stdout.splitlines() if one in line) for one in (site.PANEL, site.BAND)
        )
        assert "smoke" in panel and "hall" in panel and "never" in band

        shown = await _ran("enrol", str(file), "--unknown", *log_in)
        assert shown.stdout.split()[:2] == ["watch:8800000099", "bands"]

        done = await _ran("command", "gw-1", "actuator.set", "siren", "off", *log_in)
        assert (done.returncode, done.stdout) == (0, "confirmed\n")
        assert [command[:4] for command in hub.commands] == [("gw-1", "actuator.set", "siren", "off")]
        device = ("gw-1", "device.interval", "watch:8800000015", '{"seconds": 600}')
        assert (await _ran("command", *device, *log_in)).returncode == 0
        assert hub.commands[-1][:4] == device
        refused = await _ran("command", "gw-1", "actuator.set", "siren", "maybe", *log_in)
        assert refused.returncode == 1
        assert refused.stderr.startswith("gridward: hub: POST") and "422" in refused.stderr
        assert hub.count("sessions") == 0  # each logged out


async def _ran(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200"}
    argv = [sys.executable, "-m", "gridward", "devices", *words]
    return await asyncio.to_thread(
        subprocess.run, argv, capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL
    )


def test_a_hub_that_cannot_be_reached_or_has_no_password_is_one_line(tmp_path: Path) -> None:
    away = gridward("devices", "list", "--hub", "http://127.0.0.1:1", "--password-file", str(_word(tmp_path)))
    assert (away.returncode, away.stderr.count("\n")) == (1, 1)
    unasked = gridward("devices", "list", "--hub", "http://127.0.0.1:1", typed="")
    assert unasked.returncode == 2 and "--password-file" in unasked.stderr
    assert gridward("devices", "list").returncode == gridward("devices", "list", "--hub", "here").returncode == 2


def _word(folder: Path) -> Path:
    path = folder / "password"
    path.write_text("x")
    return path

"""What docs/install.md prints is taken as it is printed: files of hub, site and edge, dsn, units."""

import configparser
import re
from pathlib import Path

import psycopg.conninfo
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devices.families import FAMILIES
from edge import config as edge_config
from edge.notes import notes
from gridward.__main__ import app
from hub import config as hub_config
from hub import site

INSTALL = (Path(__file__).parents[2] / "docs" / "install.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", INSTALL, re.DOTALL)


def block(language: str, begin: str) -> str:
    [found] = [text for said, text in BLOCKS if said == language and text.startswith(begin)]
    return found


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """/etc/gridward: every file that the guide names, with its contents."""
    public = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "hub.pub").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for name in ("hub-password", "gw-1-password", "operator-password"):
        (tmp_path / name).write_text("correct horse battery")
    (tmp_path / "dsn").write_text(block("", "postgresql://").splitlines()[0])
    for name, begin in (("hub", "listen_host"), ("site", "[site]"), ("edge", "site = ")):
        (tmp_path / f"{name}.toml").write_text(block("toml", begin).replace("/etc/gridward", str(tmp_path)))
    return tmp_path


def test_the_hubs_files(etc: Path) -> None:
    config = hub_config.load(etc / "hub.toml")
    assert hub_config.first_password(config) and config.broker.tls and config.notify
    for line in block("", "postgresql://").splitlines():
        assert psycopg.conninfo.conninfo_to_dict(line)["dbname"] == "gridward"
    venue = site.read(Path(config.site_file))
    assert [zone.id for zone in venue.zones] == ["guest-house", "kitchen"] and len(venue.devices) == 2
    for key in (*site.Site.__struct_fields__, *site.Zone.__struct_fields__, *site.Device.__struct_fields__):
        assert re.search(rf"^(\[zones\.)?{key}\b", block("toml", "[site]"), re.MULTILINE), f"{key} is shown"


def test_the_edges_file_and_the_sites_belong_together(etc: Path) -> None:
    config = edge_config.load(etc / "edge.toml", FAMILIES)
    venue = site.read(etc / "site.toml")
    assert config.site == venue.site.id and config.gateway in {gateway.id for gateway in venue.gateways}
    assert len({type(link) for link in config.links}) == 4 and config.actuators and config.rules
    zones = {device.zone for device in config.devices} | {part.zone for part in config.devices[0].components}
    assert zones == {zone.id for zone in venue.zones}
    assert not [note for note in notes(config, FAMILIES) if "gpio" not in note]
    for kind in (edge_config.Config, edge_config.Device, edge_config.Rule, edge_config.SpoolLimits):
        for key in kind.__struct_fields__:
            assert re.search(rf"^(\[+)?{key}\b", block("toml", "site = "), re.MULTILINE), f"{key} is shown"


@pytest.mark.parametrize("program", ["hub", "edge"])
def test_the_units(program: str) -> None:
    unit = configparser.ConfigParser()
    unit.read_string(block("ini", f"[Unit]\nDescription=Gridward {program}"))
    path, command, *words = unit["Service"]["ExecStart"].split()
    assert path == "/opt/gridward/.venv/bin/gridward" and words == ["--config", f"/etc/gridward/{program}.toml"]
    assert command == program and command in {
        known.callback.__name__ for known in app.registered_commands if known.callback
    }
    assert f'state_dir = "/var/lib/{unit["Service"]["StateDirectory"]}"' in INSTALL
    assert f"/etc/systemd/system/gridward-{program}.service" in INSTALL

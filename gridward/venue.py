"""The demo venue's files: one site, one hub, one edge, and the devices of a scenario.

`write` turns a scenario and the servers' addresses into hub.toml, edge.toml, site.toml and a copy of the scenario with
the ports that are free on this machine. Zones are those of simulators/scenarios/wuzhen (gridward.venue_zones), names
and places of devices stand in templates/devices.toml; a device of the scenario that is not named there gets a plain
name in the core zone.
"""

import secrets
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gridward.broker import HOST, free_port_or
from gridward.processes import ProcessError
from gridward.toml_text import toml_text
from gridward.venue_zones import zones

GATEWAY = "gw-1"
OPERATOR = "operator"
PASSWORD_BYTES = 15
WRITTEN = "Written by gridward demo; change it freely, the next start writes it anew."
LINK_NAMES = {"gbt26875": "panels", "watch": "bands", "jt808": "terminals"}
KINDS = {"gbt26875": "panel", "watch": "band", "jt808": "vehicle"}


class Place(Struct, frozen=True, forbid_unknown_fields=True):
    """What the site knows of a device before it speaks. `components`: native address -> zone."""

    id: str
    name: str
    kind: str
    zone: str
    longitude: float
    latitude: float
    name_zh: str = ""
    floor: str = ""
    components: tuple[dict[str, str], ...] = ()


class Places(Struct, frozen=True, forbid_unknown_fields=True):
    devices: tuple[Place, ...]


class Servers(Struct, frozen=True, kw_only=True):
    """Where the parts that the demo did not write listen."""

    dsn: str
    broker_host: str
    broker_port: int
    console_port: int
    edge_broker_port: int = 0  # where the edge finds the broker, when a relay stands between (fault tests)


class Venue(Struct, frozen=True, kw_only=True):
    """Paths and addresses of one written venue."""

    directory: Path
    hub_config: Path
    edge_config: Path
    scenario: Path
    ledger: Path
    password_file: Path
    console_url: str
    links: dict[str, int]  # family -> port that the edge listens on
    siren: Path

    @property
    def password(self) -> str:
        return self.password_file.read_text().strip()


def write(directory: Path, servers: Servers, scenario: Path) -> Venue:
    """All files of the venue below `directory`; raises ProcessError when the scenario cannot be read."""
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    played = _read_scenario(scenario)
    links = _place_links(played)
    places = [_place(device) for device in played["devices"]]
    venue = Venue(
        directory=directory,
        hub_config=directory / "hub.toml",
        edge_config=directory / "edge.toml",
        scenario=directory / "scenario.toml",
        ledger=directory / "ledger.jsonl",
        password_file=directory / "operator-password",
        console_url=f"http://{HOST}:{servers.console_port}",
        links=links,
        siren=directory / "siren-guest-house",
    )
    _write_password(venue.password_file)
    venue.scenario.write_text(toml_text(played, f"{WRITTEN}\nFrom {scenario}"))
    (directory / "site.toml").write_text(_site(places))
    venue.hub_config.write_text(toml_text(_hub(venue, servers), WRITTEN))
    venue.hub_config.chmod(0o600)
    venue.edge_config.write_text(toml_text(_edge(venue, servers, places), WRITTEN))
    return venue


def _read_scenario(path: Path) -> dict[str, Any]:
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
        return {**found, "devices": list(found["devices"])}
    except OSError as error:
        raise ProcessError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, KeyError) as error:
        raise ProcessError(f"{path}: not a scenario: {error}") from error


def _place_links(played: dict[str, Any]) -> dict[str, int]:
    """A port for every family of the scenario: its own when free, else any; written back into the scenario."""
    links: dict[str, int] = {}
    for device in played["devices"]:
        family = device["family"]
        wished = int(device.get("port", 0))
        if family not in links:
            links[family] = free_port_or(wished)
        device.update(host=HOST, port=links[family])
    return links


def _known_places() -> dict[str, Place]:
    text = _template("devices.toml")
    return {place.id: place for place in msgspec.toml.decode(text, type=Places).devices}


def _place(device: dict[str, Any]) -> Place:
    family, native_id = device["family"], str(device["id"])
    known = _known_places().get(f"{family}:{native_id}")
    kind = KINDS.get(family, "panel")
    return known or Place(f"{family}:{native_id}", f"{kind.title()} {native_id}", kind, "core", 120.4838, 30.7436)


def _site(places: list[Place]) -> str:
    devices = [
        {
            "id": place.id,
            "name": place.name,
            "name_zh": place.name_zh,
            "kind": place.kind,
            "zone": place.zone,
            "gateway": GATEWAY,
            "longitude": place.longitude,
            "latitude": place.latitude,
            "floor": place.floor,
        }
        for place in places
    ]
    return _template("site.toml") + toml_text({"zones": zones(), "devices": devices})


def _hub(venue: Venue, servers: Servers) -> dict[str, Any]:
    return {
        "listen_host": HOST,
        "listen_port": servers.console_port,
        "state_dir": str(venue.directory / "hub"),
        "site_file": str(venue.directory / "site.toml"),
        "hub_id": "hub-1",
        "database": {"dsn": servers.dsn},
        "broker": {"host": servers.broker_host, "port": servers.broker_port},
        "first_user": {"name": OPERATOR, "password_file": str(venue.password_file)},
    }


def _edge(venue: Venue, servers: Servers, places: list[Place]) -> dict[str, Any]:
    links = [
        {"name": LINK_NAMES.get(family, family), "kind": "tcp_server", "family": family, "host": HOST, "port": port}
        for family, port in venue.links.items()
    ]
    devices = [
        {
            "id": place.id,
            "name": place.name,
            "zone": place.zone,
            "longitude": place.longitude,
            "latitude": place.latitude,
            "components": list(place.components),
        }
        for place in places
    ]
    fire = {"group": "fire", "priority_max": 0, "zones": ["guest-house"]}
    return {
        "site": "wuzhen",
        "gateway": GATEWAY,
        "time_zone": "Asia/Shanghai",
        "state_dir": str(venue.directory / "edge"),
        "hub_public_key_file": str(venue.directory / "hub" / "hub.pub"),
        "broker": {"host": servers.broker_host, "port": servers.edge_broker_port or servers.broker_port},
        "links": links,
        "devices": devices,
        "actuators": [{"name": "siren-guest-house", "kind": "gpio_file", "path": str(venue.siren)}],
        "rules": [
            {"name": "smoke-siren", "when": fire, "actuate": {"actuator": "siren-guest-house", "state": "on"}},
        ],
    }


def _write_password(path: Path) -> None:
    """A new random password, readable by this user only; kept when it is there (the database knows it)."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(PASSWORD_BYTES))


def _template(name: str) -> str:
    return (resources.files("gridward") / "templates" / name).read_text()

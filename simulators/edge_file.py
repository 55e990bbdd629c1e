"""The edge file that goes with a scenario: a link for each place where its devices are, and each device enrolled.

What has no safe default is left to the installer: the broker of the hub, zones, rules, actuators.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from simulators.families import SIMULATORS
from simulators.lines import link_of
from simulators.spec import DeviceSpec, Scenario

HEADING = "# The edge for the devices of a scenario. Zones, rules and the hub's broker are yours to add.\n"
ANYWHERE = "0.0.0.0"  # noqa: S104 - devices that dial come from elsewhere


def edge_document(scenario: Scenario, state_dir: str = "state") -> dict[str, Any]:
    places: dict[tuple[Any, ...], list[DeviceSpec]] = {}
    for spec in scenario.devices:
        places.setdefault(_place(spec), []).append(spec)
    names: dict[str, int] = {}
    links = []
    for specs in places.values():
        family = specs[0].family
        names[family] = names.get(family, 0) + 1
        name = family if names[family] == 1 else f"{family}-{names[family]}"
        links.append({"name": name, "family": family, **_link(specs, Path(state_dir))})
    return {
        "site": "simulated",
        "gateway": "gw-simulated",
        "state_dir": state_dir,
        "links": links,
        "devices": [{"id": spec.device} for spec in scenario.devices],
    }


def edge_toml(document: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_inline(value)}" for key, value in document.items() if not isinstance(value, list)]
    for key, value in document.items():
        for table in value if isinstance(value, list) else ():
            lines += ["", f"[[{key}]]", *(f"{name} = {_inline(item)}" for name, item in table.items())]
    return HEADING + "\n".join(lines) + "\n"


def _place(spec: DeviceSpec) -> tuple[Any, ...]:
    """Devices of the same place are on one link of the edge."""
    return spec.family, link_of(spec), spec.host, spec.port, spec.path if link_of(spec) != "http_push" else ""


def _link(specs: Sequence[DeviceSpec], state_dir: Path) -> dict[str, Any]:
    spec = specs[0]
    link = link_of(spec)
    address = {"host": spec.host, "port": spec.port}
    listens = {"host": "127.0.0.1" if spec.host.startswith("127.") else ANYWHERE, "port": spec.port}
    more = dict(SIMULATORS[spec.family].edge(specs))
    url = f"http://{spec.host}:{spec.port}{more.pop('url_path', '')}"
    login = {"username": spec.username, "password_file": str(password_file(spec, state_dir))} if spec.username else {}
    keys: dict[str, dict[str, Any]] = {
        "tcp": {"kind": "tcp_server", **listens, "connections_max": max(len(specs) * 2, 16)},
        "udp": {"kind": "udp_server", **listens},
        "tcp_server": {"kind": "tcp_client", **address},
        "serial": {"kind": "serial", "path": spec.path},
        "mqtt": {"kind": "mqtt", **address, **login},
        "http_push": {"kind": "http_server", **listens},
        "http_stream": {"kind": "http_stream", "url": url, **login},
        "http_asked": {"kind": "http_client", "url": url, **login},
        "modbus": {"kind": "modbus", **address},
        "folder": {"kind": "folder", "path": spec.path},
    }
    found = keys[link] | more
    if found["kind"] == "datagrams":
        del found["port"]
    return found


def password_file(spec: DeviceSpec, state_dir: Path) -> Path:
    return state_dir / f"{spec.family}-{spec.port}.password"


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)} = {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else _text(str(value))


def _text(text: str) -> str:
    """A JSON string is a TOML basic string, but for DEL."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")

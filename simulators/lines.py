"""From a scenario to its lines. What only some lines need is loaded where one is asked for.

tcp          the device dials                     one line a device
udp          the device sends datagrams           one line a device
tcp_server   the device waits to be dialled       devices of one address share it (radios behind a server)
serial       one end of a pty pair at `path`      devices of one path share it (readers on a bus)
mqtt         the device publishes                 devices of one broker share a connection
http_push    the device posts                     one line a device
http_stream  the device is asked, its answer is endless, one line a device
http_asked   the device is asked again and again  one line a device
modbus       the device's registers are read      units of one address share it
folder       the device's files are dropped       devices of one folder share it
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from simulators.families import SIMULATORS
from simulators.spec import DeviceSpec
from simulators.stage import Member, Stage

SHARED = frozenset({"tcp_server", "serial", "mqtt", "modbus", "folder"})


class AnyLine(Protocol):
    async def run(self) -> None:
        """Until cancelled; raises only what a device raises: a bug of ours."""


def link_of(spec: DeviceSpec) -> str:
    return spec.link or SIMULATORS[spec.family].links[0]


def place_of(spec: DeviceSpec) -> tuple[str, ...]:
    """Devices of the same place share a line, where lines of that kind are shared."""
    link = link_of(spec)
    alone = "" if link in SHARED else spec.id
    return spec.family, link, spec.host, str(spec.port), spec.path, spec.username, alone


def lines_of(members: Sequence[Member], stage: Stage) -> list[AnyLine]:
    shared: dict[tuple[str, ...], list[Member]] = {}
    for member in members:
        shared.setdefault(place_of(member.spec), []).append(member)
    return [_kind(link_of(some[0].spec))(some, stage) for some in shared.values()]


def _kind(link: str) -> Callable[[Sequence[Member], Stage], Any]:
    # ruff: noqa: PLC0415 - see above
    found: dict[str, Callable[[Sequence[Member], Stage], Any]]
    match link:
        case "tcp" | "tcp_server" | "serial":
            from simulators import line

            found = {"tcp": line.Line, "tcp_server": line.ListeningLine, "serial": line.SerialLine}
            return found[link]
        case "udp":
            from simulators.datagrams import DatagramLine

            return DatagramLine
        case "mqtt":
            from simulators.mqtt import MqttLine

            return MqttLine
        case "http_push" | "http_stream" | "http_asked":
            from simulators import http

            found = {"http_push": http.HttpPush, "http_stream": http.HttpStream, "http_asked": http.HttpAsked}
            return found[link]
        case "modbus":
            from simulators.modbus_unit import ModbusLine

            return ModbusLine
        case _:
            from simulators.folder import FolderLine

            return FolderLine

"""The demo's MQTT broker: mosquitto when the machine has it, else rumqttd from the `iotcore` package.

Both listen on loopback only, without accounts, and keep nothing on disk: the edge's spool and the hub's `committed`
carry the truth, so a broker that forgets everything loses nothing (tests/acceptance/test_faults.py kills it).
Production brokers have accounts and TLS: docs/install.md.
"""

import os
import shutil
import socket
import sys
from importlib import util
from pathlib import Path

from gridward.processes import Child, ProcessError, start, wait_until

PACKET_BYTES_MAX = 16_000_000
START_S_MAX = 15.0
HOST = "127.0.0.1"

MOSQUITTO = """\
# Written by gridward; loopback only, so there are no accounts.
{user}listener {port} {host}
allow_anonymous true
persistence false
max_inflight_messages 1000
max_queued_messages 10000
max_packet_size {bytes}
set_tcp_nodelay true
log_dest stdout
log_type error
log_type warning
"""

# rumqttd refuses a file without its v4 table, but listens only where a server is named.
RUMQTTD = """\
# Written by gridward; loopback only, so there are no accounts.
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {bytes}
max_inflight_count = 1000
dynamic_filters = true
"""
# Started by root, mosquitto changes its user, and the kernel then forgets that it must die with us.
STAY_ROOT = "user root\n"
RUN_RUMQTTD = (
    "import sys; from iotcore.iotcore import IotCoreBroker; IotCoreBroker(config_path=sys.argv[1]).run_forever()"
)


class Broker:
    """One broker on `port` (0: any free one). `program` forces "mosquitto" or "rumqttd"."""

    def __init__(self, directory: Path, port: int = 0, program: str | None = None) -> None:
        self.host = HOST
        self.port = port or free_port()
        self.program = program or ("mosquitto" if mosquitto() else "rumqttd")
        self._directory = directory.resolve()
        self.child: Child | None = None

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        self._directory.mkdir(parents=True, exist_ok=True)
        if listens(self.host, self.port):
            raise ProcessError(f"port {self.port} on {self.host} is in use: choose another for the broker")
        template, suffix = (MOSQUITTO, "conf") if self.program == "mosquitto" else (RUMQTTD, "toml")
        config = self._directory / f"{self.program}.{suffix}"
        user = STAY_ROOT if os.geteuid() == 0 else ""
        config.write_text(template.format(host=self.host, port=self.port, bytes=PACKET_BYTES_MAX, user=user))
        self.child = start(f"broker ({self.program})", self._argv(config), self._directory / "broker.log")
        wait_until(self.child, lambda: listens(self.host, self.port), START_S_MAX)

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()
            self.child = None

    def _argv(self, config: Path) -> list[str | Path]:
        if self.program == "mosquitto":
            return [mosquitto() or "mosquitto", "-c", config]
        if util.find_spec("iotcore") is None:
            raise ProcessError("no broker: install mosquitto, or the package iotcore (make setup)")
        return [sys.executable, "-c", RUN_RUMQTTD, config]


def mosquitto() -> str | None:
    """Where mosquitto is; Debian keeps it in /usr/sbin, which is not on everyone's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def free_port_or(wished: int) -> int:
    """`wished` when nobody has it; any free one when somebody has, or it is 0."""
    return wished if wished and not listens(HOST, wished) else free_port()


def listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False

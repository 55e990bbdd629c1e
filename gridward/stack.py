"""The whole product as child processes of ours: PostgreSQL, broker, hub, edge, simulated devices.

Rules
- Started in the order of who needs whom; stopped in reverse, devices first, so that what was accepted drains.
- When any part ends that should not, everything stops and `StackError` says which part, how, and the end of its log.
- The demo and the acceptance tests start the product through this class, so that both see the same thing.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from gridward import clock
from gridward.broker import HOST, Broker, free_port_or, listens
from gridward.hub_client import HubClient, HubError
from gridward.postgres import Postgres
from gridward.processes import Child, ProcessError, start, stop_all, wait_until
from gridward.venue import GATEWAY, OPERATOR, Servers, Venue, write

DATABASE = "gridward"
HUB_START_S_MAX = 60.0
EDGE_START_S_MAX = 30.0
STATE_FOLDERS = ("edge", "hub")
MARK = ".made-by-gridward-demo"

Progress = Callable[[str], None]


class Stack:
    """One running product in `directory`; `tell` hears of each part as it becomes ready."""

    def __init__(
        self,
        directory: Path,
        scenario: Path,
        tell: Progress,
        console_port: int,
        *,
        broker_port: int = 0,
        durable: bool = True,
    ) -> None:
        """Ports are wishes: when one is taken, or 0, any free one is."""
        self.directory = directory.resolve()
        self._scenario = scenario
        self._tell = tell
        self._wished = {"console": console_port, "broker": broker_port}
        self._console_port = free_port_or(console_port)
        self.postgres = Postgres(self.directory / "postgres", durable=durable)
        self.broker = Broker(self.directory / "broker", free_port_or(broker_port))
        self.hub: Child | None = None
        self.edge: Child | None = None
        self.simulators: Child | None = None
        self.edge_broker_port = 0  # a relay's, when a test stands between edge and broker
        self.dsn = ""
        self._venue: Venue | None = None
        self.client: HubClient | None = None

    @property
    def venue(self) -> Venue:
        if self._venue is None:
            raise ProcessError("the stack was not started")
        return self._venue

    def start(self, keep: bool = False) -> None:
        """Start everything but the devices; with `keep` on the data of the last run."""
        for path in (self.directory / "log").glob("*.log"):
            path.unlink()
        self._tell_ports()
        self._timed("PostgreSQL", self._start_postgres, keep)
        self._timed(f"broker ({self.broker.program})", self.broker.start)
        servers = Servers(
            dsn=self.dsn,
            broker_host=self.broker.host,
            broker_port=self.broker.port,
            console_port=self._console_port,
            edge_broker_port=self.edge_broker_port,
        )
        self._venue = write(self.directory, servers, self._scenario)
        self.client = HubClient(self.venue.console_url)
        self._timed("hub", self.start_hub)
        self.client.login(OPERATOR, self.venue.password)
        self._timed("edge", self.start_edge)

    def _tell_ports(self) -> None:
        for what, port in (("console", self._console_port), ("broker", self.broker.port)):
            if self._wished[what] not in (0, port):
                self._tell(f"port {self._wished[what]} is in use by another program: the {what} takes {port}")

    def start_hub(self) -> None:
        self.hub = self._program("hub", self.venue.hub_config)
        client = self.client
        wait_until(self.hub, lambda: client is not None and client.healthy(), HUB_START_S_MAX, poll_s=0.1)

    def start_edge(self) -> None:
        """Return when devices can connect and the hub has heard from the gateway."""
        self.edge = self._program("edge", self.venue.edge_config)
        wait_until(self.edge, self._edge_ready, EDGE_START_S_MAX, poll_s=0.1)

    def start_simulators(self, *words: str) -> None:
        """Play the venue's scenario; the ledger of what devices were told was accepted goes to `venue.ledger`."""
        self.venue.ledger.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "simulators", str(self.venue.scenario), "--ledger", str(self.venue.ledger)]
        self.simulators = start("simulators", [*argv, *words], self._log("simulators"))

    def check_alive(self) -> None:
        """Raise ProcessError with the obituary of the first part that ended and should not have."""
        for child in self._servers():
            if child.exit_code is not None:
                raise ProcessError(child.obituary())
        if self.simulators is not None and self.simulators.exit_code not in (None, 0):
            raise ProcessError(self.simulators.obituary())

    @property
    def played(self) -> bool:
        """Whether the scenario was played to its end."""
        return self.simulators is not None and self.simulators.exit_code == 0

    def stop(self) -> None:
        """Stop what runs; safe to call at any point and more than once."""
        if self.client is not None:
            self.client.close()
        stop_all([child for child in (self.simulators, self.edge, self.hub) if child is not None])
        self.broker.stop()
        self.postgres.stop()

    def _servers(self) -> list[Child]:
        children = (self.postgres.child, self.broker.child, self.hub, self.edge)
        return [child for child in children if child is not None]

    def _start_postgres(self, keep: bool) -> None:
        if not keep:
            self._forget()
        self.postgres.start()
        if not keep:
            self.postgres.drop_database(DATABASE)
        self.dsn = self.postgres.ensure_database(DATABASE)

    def _forget(self) -> None:
        """Remove what the last run left: spool, keys, password. The database is dropped by the server itself.

        Only folders that we marked as ours are removed: a person may name any directory.
        """
        for folder in (self.directory / name for name in STATE_FOLDERS):
            if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
                raise ProcessError(f"{folder} was not made by gridward demo: remove it, or choose another --directory")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / MARK).touch()
        (self.directory / "operator-password").unlink(missing_ok=True)

    def _program(self, name: str, config: Path) -> Child:
        argv = [sys.executable, "-m", name, "--config", str(config)]
        return start(name, argv, self._log(name))

    def _log(self, name: str) -> Path:
        return self.directory / "log" / f"{name}.log"

    def _edge_ready(self) -> bool:
        if not all(listens(HOST, port) for port in self.venue.links.values()):
            return False
        try:
            gateways = self.client.gateways() if self.client is not None else []
        except HubError:
            return False
        return any(gateway["gateway"] == GATEWAY and gateway["online"] for gateway in gateways)

    def _timed(self, what: str, act: Callable[..., None], *arguments: object) -> None:
        began = clock.monotonic()
        act(*arguments)
        self._tell(f"{what} ready in {clock.monotonic() - began:.1f} s")

"""One edge agent: its parts put together, started in order, and stopped politely.

    links → intake → spool → uplink → hub        hub → downlink → actuators, links → devices

Rules
- What cannot work without a person stops the start (StartError, one line): a port or a spool in use, a disk that takes
  nothing. The broker is not among them: without it the agent works on, and sends later.
- Stopping: no more bytes are read, what was read becomes durable and is answered, connections end, the broker is told
  that we are offline, the spool is closed.
- A bug in a part costs that part (edge.supervisor). Only the end of the spool's thread ends the agent: without it
  nothing can be accepted.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from devices.envelope import CommandResult, GatewayState, encode, topic
from devices.families import FAMILIES
from devices.family import AnyFamily
from devices.observation import DeviceId, GatewayId
from edge import clock, health
from edge.actuators import Actuators
from edge.commands import Commands, Newest
from edge.config import DEVICES_MAX, Config, family_settings, patient
from edge.contacts import Contacts
from edge.device_commands import DeviceCommands
from edge.downlink import ZONES, Documents, Reader, read_zones
from edge.enrolment import DEVICES, Enrolment, Told
from edge.fences import KEPT
from edge.flow import SWEEP_S, Link, Wiring
from edge.intake import LOST, Intake, stored_lost
from edge.link_kinds import build
from edge.mqtt import end
from edge.pipeline import view_of
from edge.reports import Reports
from edge.rules import Act
from edge.spool import Spool
from edge.spool_file import SpoolFile
from edge.spool_sql import SpoolError
from edge.supervisor import apart, supervise
from edge.turns import Turns
from edge.uplink import Uplink

HEALTH_S = 15.0
SUPERVISE_S = 1.0
KEEP_TRACKS_S = 30.0
GOODBYE_S_MAX = 2.0
WAITING_ROWS_MAX, WAITING_ROWS_MIN = 20_000, 1_000  # read and not durable yet: of all links together, of each at least

log = structlog.get_logger()


class StartError(Exception):
    """The agent cannot start; the text is the one line to show."""


class Secrets(Struct, frozen=True):
    """What the configuration names by file: the broker's password, the hub's public key."""

    password: str = ""
    hub_key: Ed25519PublicKey | None = None


class Agent:
    """`async with running(config, secrets) as agent: await agent.ended()`."""

    def __init__(self, config: Config, secrets: Secrets) -> None:
        self._config = config
        self._secrets = secrets
        self._gateway = GatewayId(config.gateway)
        self._device = health.gateway_device(config.gateway)
        self._version = installed_version()
        self._skew = health.Skew()
        self._started_at = clock.monotonic()
        self._uplinking: asyncio.Task[None] | None = None  # begun last: what stops the start is told alone

    # --- start and stop ---

    async def start(self, stack: AsyncExitStack) -> None:
        """What was started is pushed on `stack`, last in, first out. Raises StartError, LinkError, SpoolError."""
        file = self._open_spool()
        self._make_parts(file)
        stack.push_async_callback(self._spool.close)
        stack.push_async_callback(apart, self._actuators.close)
        await self._documents.load()
        self._intake.forget_others(self._enrolment.devices)
        await self._actuators.look()
        stack.push_async_callback(self._say_goodbye)
        for link in self._links:
            await link.open()
            stack.push_async_callback(link.close)
        works = {
            "sweep": self._sweep,
            "tend": self._tend,
            "report": self._report,
            "documents": self._documents.run,
            "commands": self._commands.run,
            "device_commands": self._commands.run_devices,
        }
        for name, work in works.items():
            stack.callback(asyncio.create_task(supervise(name, work)).cancel)
        self._serve_metrics(stack)
        self._uplinking = asyncio.create_task(supervise("uplink", self._uplink.run))
        stack.push_async_callback(self._stop_reading)
        log.info(
            "started",
            gateway=self._gateway,
            version=self._version,
            links=self.ports,
            devices=len(self._enrolment.devices),
            spool_rows=self._spool.rows,
        )

    @property
    def ports(self) -> dict[str, int]:
        """Link name -> the port it listens on."""
        return {link.name: link.port for link in self._links}

    async def ended(self) -> None:
        """Returns only when the agent cannot go on."""
        await asyncio.shield(self._spool.stopped)

    def _open_spool(self) -> SpoolFile:
        config = self._config
        try:
            config.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(f"state_dir: {config.state}: {error.strerror}") from error
        self._reports = Reports(len(config.devices), DEVICES_MAX)
        limits = config.spool
        file = SpoolFile(config.state, limits.rows_max, limits.file_mb_max, self._reports, self._device)
        try:
            file.open(clock.now())
        except SpoolError as error:
            raise StartError(f"state_dir: {error}") from error
        return file

    def _make_parts(self, file: SpoolFile) -> None:
        config = self._config
        self._lost_before = stored_lost(file.kept(LOST))
        view = view_of(config.devices)
        view.fences.remember(file.all_kept(KEPT))
        self._spool = Spool(file, self._reports, self._stored)
        self._actuators = Actuators(config.actuators, self._acted)
        self._settings = {
            link.name: family_settings(link, FAMILIES[link.family], config.time_zone) for link in config.links
        }
        self._enrolment = Enrolment(config, FAMILIES, self._settings)
        self._contacts = self._supervised()
        self._devices = DeviceCommands(config.gateway, self._enrolment, self._device_links, self._answer_command)
        self._intake = Intake(
            gateway=self._device,
            view=view,
            rules=config.rules,
            actuators=self._actuators,
            spool=self._spool,
            contacts=self._contacts,
            answered=self._devices.answered,
        )
        key = self._secrets.hub_key
        self._commands = Commands(
            key,
            config.gateway,
            actuators=self._actuators,
            devices=self._devices,
            answer=self._answer_command,
            newest=Newest(config.state),
            started_at=self._started_at,
        )
        self._uplink = Uplink(
            config,
            self._secrets.password,
            self._spool,
            state=self._state,
            down_topics=(topic(self._gateway, "down", "+"), topic(self._gateway, "cmd")),
            down=self._arrived,
            committed_at=lambda at: self._skew.receipt(at, clock.now()),
        )
        self._documents = Documents(
            config.state / "documents",
            key,
            config.gateway,
            {
                ZONES: Reader(read_zones, self._intake.use_zones),
                DEVICES: Reader(lambda document: self._enrolment.read(document.body), self._use_devices),
            },
            self._uplink.say_soon,
        )
        self._turns = Turns()
        self._links = [self._link(index) for index in range(len(config.links))]

    def _supervised(self) -> Contacts:
        enrolment = self._enrolment
        silences = {DeviceId(id_): enrolment.silence_s_max(id_) for id_ in enrolment.devices}
        links = {device: link for device in silences if (link := enrolment.link_of(device))}
        return Contacts(silences, self._lost_before, clock.monotonic(), links)

    def _link(self, index: int) -> Link:
        link = self._config.links[index]
        family = FAMILIES[link.family]
        wiring = Wiring(
            name=link.name,
            settings=self._settings[link.name],
            enrolled=self._enrolment.of_family(link.family),
            intake=self._intake,
            rows_max=max(WAITING_ROWS_MAX // len(self._config.links), WAITING_ROWS_MIN),
        )
        return build(link, wiring, patient(family, self._config.devices), self._turns, self._gateway)

    def _serve_metrics(self, stack: AsyncExitStack) -> None:
        if self._config.metrics_port:
            from edge import metrics  # noqa: PLC0415 - memory that is only spent where somebody scrapes

            try:
                stack.push_async_callback(asyncio.to_thread, metrics.serve(self._config.metrics_port, self.readings))
            except metrics.MetricsError as error:
                raise StartError(str(error)) from error

    async def _stop_reading(self) -> None:
        log.info("stopping", spool_rows=self._spool.rows)
        for link in self._links:
            link.stop_reading()
        self._intake.keep_tracks()
        await self._spool.settled()

    async def _say_goodbye(self) -> None:
        """The broker would tell that we are gone; better that we do."""
        if self._uplinking is None:
            return
        offline = GatewayState(gateway=self._gateway, online=False, at=clock.now(), version=self._version)
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S_MAX):
                await self._uplink.say_state(offline)
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S_MAX):
                await end([self._uplinking])

    # --- what goes on ---

    async def _sweep(self) -> None:
        while True:
            await clock.sleep(SWEEP_S)
            for link in self._links:
                link.sweep()

    async def _tend(self) -> None:
        """Supervise devices; say again what the disk did not take; keep where everybody is."""
        before = kept_at = clock.monotonic()
        while True:
            await clock.sleep(SUPERVISE_S)
            at = clock.monotonic()
            self._intake.supervise(at - before, {link.name: link.flow.take_held_s() for link in self._links})
            self._intake.say_again()
            if at - kept_at >= KEEP_TRACKS_S:
                self._intake.keep_tracks()
                kept_at = at
            before = at

    async def _report(self) -> None:
        attributes = {"version": self._version, "epoch": self._spool.epoch}
        self._intake.say([health.event(self._device, clock.now(), "started_up", attributes)])
        if gone := self._contacts.gone(clock.now()):
            self._intake.say(gone)
        while True:
            self._intake.say([health.telemetry(self._device, clock.now(), self._vitals())])
            await clock.sleep(HEALTH_S)
            self._skew.settle()
            await self._uplink.say_state(self._state())

    def _vitals(self) -> dict[str, float]:
        found: dict[str, float] = {
            "spool_rows": self._spool.rows,
            "resident_memory_mb": health.resident_memory_mb(),
            "links_connected": sum(link.connections for link in self._links),
            "disk_free_mb": health.disk_free_mb(self._config.state),
            "rejected_frames": self._intake.counts.rejected,
        }
        return {**found, "clock_skew_s": self._skew.seconds} if self._skew.known else found

    def readings(self) -> dict[str, float]:
        """Everything that can be scraped. Called in another thread: it only reads."""
        lanes = {lane: self._spool.lane(lane) for lane in ("urgent", "routine")}
        return {
            **self._vitals(),
            "uplink_connected": self._uplink.connected,
            "spool_failing": bool(self._spool.failing),
            "observations_total": self._intake.counts.observations,
            "unsaid_dropped_total": self._intake.counts.unsaid_dropped,
            "duplicates_total": self._spool.duplicates,
            "refused_rows_total": self._spool.refused_rows,
            **{f"spool_{name}_rows": state.rows for name, state in lanes.items()},
            **{f"spool_{name}_dropped_total": state.dropped for name, state in lanes.items()},
        }

    def _state(self) -> GatewayState:
        return GatewayState(
            gateway=self._gateway,
            online=True,
            at=clock.now(),
            version=self._version,
            epoch=self._spool.epoch,
            spool_rows=self._spool.rows,
            clock_skew_s=self._skew.seconds,
            documents=self._documents.versions,
            documents_refused=self._documents.refused,
            actuators=self._actuators.states,
            devices_refused=self._enrolment.refused_said(),
        )

    # --- what arrives ---

    def _stored(self) -> None:
        self._uplink.stored()

    def _arrived(self, name: str, payload: bytes) -> None:
        tail = name.split("/")[4:]
        if tail == ["cmd"]:
            self._commands.offer(payload, clock.now(), clock.monotonic())
        elif len(tail) == 2 and tail[0] == "down":
            self._documents.offer(tail[1], payload)

    def _use_devices(self, told: Told) -> None:
        """The hub has enrolled devices."""
        change = self._enrolment.use(told)
        enrolment = self._enrolment
        self._reports.expect(len(enrolment.devices))
        watched = {DeviceId(id_): (enrolment.silence_s_max(id_), enrolment.link_of(id_)) for id_ in change.fresh}
        self._intake.use_devices(view_of(enrolment.devices.values()), watched, [DeviceId(id_) for id_ in change.gone])
        for id_, reason in enrolment.refused_said().items():
            log.warning("device_not_taken", device=id_, reason=reason)

    def _device_links(self) -> list[tuple[AnyFamily, Link]]:
        return [(FAMILIES[of.family], link) for of, link in zip(self._config.links, self._links, strict=True)]

    def _answer_command(self, result: CommandResult) -> None:
        self._uplink.result("cmd_result", encode(result))

    def _acted(self, act: Act, error: str) -> None:
        """For the record, and for whoever looks at the gateway's state."""
        attributes = {"name": act.actuator, "state": "on" if act.on else "off", "cause": act.cause}
        attributes |= {key: text for key, text in (("actor", act.actor), ("error", error)) if text}
        self._intake.say([health.event(self._device, clock.now(), "actuator", attributes)])
        self._uplink.say_soon()


def installed_version() -> str:
    try:
        return version("gridward")
    except PackageNotFoundError:
        return "unknown"


@asynccontextmanager
async def running(config: Config, secrets: Secrets) -> AsyncIterator[Agent]:
    """A started agent; stopped politely on the way out. Raises StartError, LinkError."""
    agent = Agent(config, secrets)
    async with AsyncExitStack() as stack:
        await agent.start(stack)
        yield agent

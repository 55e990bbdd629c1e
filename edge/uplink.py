"""From the spool to the hub: two lanes, each with its own connection, so that an alarm never queues behind telemetry.

Rules
- A lane sends what the spool has, in order, as Batches of at most ROWS_MAX rows and BYTES_MAX bytes, while its window
  is open. Only the hub's Committed for this epoch deletes rows from the spool.
- On every connection, and when nothing was committed for a while, a lane sends again from what the hub has.
- `state` is retained, with a last will that says offline; it is published on connection and with each health report.
- The urgent connection also carries state, documents and commands.

BYTES_MAX is far below the contract's limit: on a thin line a PUBLISH must be through before the keep-alive runs out.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec
import structlog

from devices.envelope import (
    BATCH_BYTES_MAX,
    BATCH_ROWS_MAX,
    LANES,
    Committed,
    GatewayState,
    Lane,
    encode,
    join_batch,
    topic,
)
from devices.observation import GatewayId
from edge import clock
from edge.config import Config
from edge.mqtt import Channel, ChannelError, Outage, Will
from edge.spool import Spool
from edge.spool_file import SpoolError
from edge.window import Window

ROWS_MAX = BATCH_ROWS_MAX
BYTES_MAX = min(BATCH_BYTES_MAX, 500_000)
SPOOL_RETRY_S = 1.0
RESULTS_MAX = 1_000

Publish = Callable[[str, bytes], Awaitable[None]]
Report = Callable[[datetime], None]

log = structlog.get_logger()
_committed = msgspec.json.Decoder(Committed)


class LaneSender:
    """One lane's way to the hub. `wake` it when rows were stored."""

    def __init__(self, gateway: GatewayId, lane: Lane, spool: Spool) -> None:
        self._gateway = gateway
        self._lane: Lane = lane
        self._spool = spool
        self._epoch = spool.epoch
        self._wake = asyncio.Event()
        self._topic = topic(gateway, "up", lane)
        self._said_foreign = ""
        committed = spool.lane(lane).committed
        self.window = Window(committed=committed, sent=committed)

    def wake(self) -> None:
        self._wake.set()

    def committed(self, told: Committed, retained: bool) -> None:
        """The hub's receipt."""
        self._follow_epoch()
        seq = told.seq
        if told.epoch != self._epoch:
            if told.epoch != self._said_foreign:  # of a spool that is gone; said once
                log.info("committed_of_another_epoch", lane=self._lane, epoch=told.epoch)
            self._said_foreign = told.epoch
            if self.window.committed:
                return
            seq = 0  # a hub that came back and has nothing of this spool yet names the one before
        appended = self._spool.lane(self._lane).appended
        if seq > appended:
            self._spool.begin_anew(told.epoch)
        elif self.window.commit(seq, appended, clock.monotonic(), retained):
            self._spool.forget(told.epoch, self._lane, seq)
        self._wake.set()

    async def drain(self, publish: Publish) -> None:
        """Send while connected; for ever."""
        self.window.rewind()
        while True:
            self._wake.clear()
            self._follow_epoch()
            now = clock.monotonic()
            if self.window.stalled(now):
                log.warning("uplink_stalled", lane=self._lane, committed=self.window.committed)
                self.window.rewind()
            batch = await self._next() if self.window.open else None
            if batch is not None:
                await publish(self._topic, batch)
                self.window.published(clock.monotonic())
            else:
                await self._wait()

    async def _next(self) -> bytes | None:
        try:
            found = await self._spool.fetch(self._lane, self.window.sent, ROWS_MAX, BYTES_MAX)
        except SpoolError:
            await clock.sleep(SPOOL_RETRY_S)  # the spool itself has said what is wrong
            return None
        if self._epoch != self._spool.epoch:
            return None
        dropped_through = self.window.declares(found.first, found.dropped_through)
        if dropped_through is None:
            return None
        self.window.push(found.last or dropped_through, clock.monotonic())
        return join_batch(self._gateway, self._epoch, self._lane, found.pieces, dropped_through)

    async def _wait(self) -> None:
        """Until there is something to do."""
        try:
            async with asyncio.timeout(self.window.wait_s(clock.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return

    def _follow_epoch(self) -> None:
        """The spool began a new file: everything starts at 1 again."""
        if self._epoch != self._spool.epoch:
            self._epoch = self._spool.epoch
            self.window = Window()


class Uplink:
    """`run()` it as a task; `stored` after each commit of the spool."""

    def __init__(
        self,
        config: Config,
        password: str,
        spool: Spool,
        *,
        state: Callable[[], GatewayState],
        down_topics: tuple[str, ...],
        down: Callable[[str, bytes], None],
        committed_at: Report,
    ) -> None:
        """`down` gets what arrives on `down_topics`; `committed_at` the hub's clock with each fresh receipt."""
        self._gateway = GatewayId(config.gateway)
        self._state = state
        self._down = down
        self._committed_at = committed_at
        self.outage = Outage(LANES)
        self._senders = {lane: LaneSender(self._gateway, lane, spool) for lane in LANES}
        self._topics = {topic(self._gateway, "committed", lane): lane for lane in LANES}
        self._results: asyncio.Queue[tuple[str, bytes | None]] = asyncio.Queue(maxsize=RESULTS_MAX)
        self._saying: tuple[str, bytes | None] | None = None
        gone = encode(GatewayState(gateway=self._gateway, online=False))
        will = Will(topic(self._gateway, "state"), gone)
        self._channels = {
            lane: Channel(
                config.broker,
                password,
                name=lane,
                identifier=f"gridward-{config.gateway}-{lane}",
                topics=(topic(self._gateway, "committed", lane), *(down_topics if lane == "urgent" else ())),
                outage=self.outage,
                arrived=self._arrived,
                works=(self._urgent, self._say_results) if lane == "urgent" else (self._routine,),
                will=will if lane == "urgent" else None,
            )
            for lane in LANES
        }

    @property
    def connected(self) -> bool:
        return self.outage.over

    def stored(self) -> None:
        for sender in self._senders.values():
            sender.wake()

    def result(self, tail: str, payload: bytes) -> None:
        """Publish something that is not worth keeping (a command's result)."""
        if not self._results.full():
            self._results.put_nowait((tail, payload))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for channel in self._channels.values():
                group.create_task(channel.run())

    def say_soon(self) -> None:
        """Publish the state, as it is then, behind what waits already. A new line begins with it anyway."""
        if self.connected and not self._results.full():
            self._results.put_nowait(("state", None))

    async def say_state(self, state: GatewayState) -> None:
        """Publish the state; nothing when the broker is away (it says the last will for us)."""
        try:
            await self._channels["urgent"].publish(topic(self._gateway, "state"), encode(state), retain=True)
        except ChannelError:
            return

    async def _urgent(self) -> None:
        publish = self._channels["urgent"].publish
        await publish(topic(self._gateway, "state"), encode(self._state()), retain=True)
        await self._senders["urgent"].drain(publish)

    async def _routine(self) -> None:
        await self._senders["routine"].drain(self._channels["routine"].publish)

    async def _say_results(self) -> None:
        """What the line's end interrupts is said first on the next one."""
        while True:
            self._saying = tail, payload = self._saying or await self._results.get()
            said = encode(self._state()) if payload is None else payload
            await self._channels["urgent"].publish(topic(self._gateway, tail), said, retain=payload is None)
            self._saying = None

    def _arrived(self, name: str, payload: bytes, retained: bool) -> None:
        lane = self._topics.get(name)
        if lane is None:
            self._down(name, payload)
            return
        try:
            told = _committed.decode(payload)
        except msgspec.DecodeError:
            log.warning("committed_unreadable", lane=lane)
            return
        self._senders[lane].committed(told, retained)
        if not retained:
            self._committed_at(told.committed_at)

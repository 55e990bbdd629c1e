"""Ingest: batches from the broker to committed rows. Two lanes, each with its own connections and its own transactions.

Rules
- A lane has WORKERS; each gateway belongs to one of them, so that its batches stay in order. While one worker's
  transaction is in the database, another one makes the next.
- Group commit adapts: when a lane is idle the first batch is committed at once; what arrives during a commit is decoded
  meanwhile and committed together by the next one, at most COMMIT_ROWS_MAX rows.
- After the commit, and only then: Committed is published (retained), the broker gets its acknowledgement, and `Told`
  hears what was stored. A batch that stood beyond a hole gets the same Committed again: an edge that hears what it
  knows while batches are under way sends again from there, within about a second.
- Whatever is not the fault of a row (no database, no table, no room, no lock) makes a lane keep what it has and try
  again with full jitter; the broker holds the rest (Receive Maximum). It says so when that lasts, and then
  commits batch by batch, so that a gateway with which it is the matter holds up no other. A commit whose end was not
  seen is repeated: the cursor knows what of it is new.
- A batch with a row that the database blames is halved until that one is alone. It is tried once more by itself, and
  set aside in refused_rows when it is refused as before: an alarm there makes no incident, so this is the last resort.
  Nothing blocks and nothing is lost. An error of ours is treated the same way, and logged with its traceback.
- Bounded: batches not yet committed (BUFFER_BYTES_MAX, beyond it they are dropped and sent again by their edge), rows
  decoded ahead (AHEAD_ROWS_MAX).
- With every connection the newest Committed of every gateway is published: the broker may have forgotten them. A spool
  that was never heard of has none. It is told 0 when its gateway says its state (`meet`): its edge, which knows no more
  than that, then sends again what a hub that was away has not got.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from msgspec import Struct

from devices.envelope import Committed, Lane, encode, topic
from devices.observation import GatewayId
from hub import clock
from hub.ingest_commit import Spool, Stored, store_parcels
from hub.metrics import Metrics
from hub.mqtt import Acknowledge, Channel
from hub.parcel import Parcel, Unfit, open_parcel
from hub.registry import Registry
from hub.store import DatabaseUnavailable, RowBlamed, Store, StoreError, TryAgain

WORKERS: dict[Lane, int] = {"urgent": 1, "routine": 2}  # alarms are placed by one transaction at a time anyway
RECEIVE_MAX: dict[Lane, int] = {"urgent": 64, "routine": 64}
BUFFER_BYTES_MAX = 128_000_000  # of a worker
AHEAD_ROWS_MAX = 50_000
COMMIT_ROWS_MAX = 25_000
HERE_BYTES_MAX = 20_000
MET_MAX = 20_000
RETRY_S_FIRST = 0.1
RETRY_S_MAX = 3.0
RETRIES_QUIET = 3
SAID_EVERY_S = 60.0

Arrival = tuple[str, bytes, Acknowledge]
NOT_THE_ROW = (StoreError, OSError, MemoryError)

log = structlog.get_logger()
_jitter = random.SystemRandom()


class Told(Struct, frozen=True, kw_only=True):
    """Who hears of what: `stored` is called in the event loop after each commit and must not raise."""

    registry: Registry
    metrics: Metrics
    stored: Callable[[Stored], None]
    urls: tuple[str, ...] = ()  # of webhooks


class LaneIngest:
    """One lane, a worker for each of `stores`. Give `arrived` and `connected` to its Channel; `run()` it as a task."""

    def __init__(self, lane: Lane, stores: Sequence[Store], told: Told) -> None:
        self.lane: Lane = lane
        self._channel: Channel | None = None
        self._count = len(stores)
        self._workers = [
            _Worker(lane, store, told, self._publish, partial(self._is, which)) for which, store in enumerate(stores)
        ]

    def attach(self, channel: Channel) -> None:
        """Where Committed is published."""
        self._channel = channel

    def arrived(self, name: str, payload: bytes, acknowledge: Acknowledge) -> None:
        """A publication on one of the lane's topics. Never raises: it is called from the broker's connection."""
        gateway = name.split("/")[3] if name.count("/") > 3 else ""
        self._workers[self._which(gateway)].arrived(name, payload, acknowledge)

    def connected(self) -> None:
        """What was not acknowledged comes again by itself; what was told may have been forgotten."""
        for worker in self._workers:
            worker.greet()

    def meet(self, gateway: str, epoch: str) -> None:
        """A gateway says that this is its spool."""
        self._workers[self._which(gateway)].meet((gateway, epoch))

    async def run(self) -> None:
        """Until cancelled, or until `stop()`."""
        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(worker.run())

    async def stop(self) -> None:
        """Finish the commits that run, begin no other. What waits is sent again by its edge."""
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    def _which(self, gateway: str) -> int:
        """Neighbours in name go to different workers (the low bits of a CRC would not do that)."""
        return sum(gateway.encode()) % self._count

    def _is(self, which: int, gateway: str) -> bool:
        return self._which(gateway) == which

    def _publish(self, name: str, payload: bytes) -> bool:
        return self._channel is not None and self._channel.publish(name, payload, retain=True)


class _Worker:
    """Some gateways of one lane, over one connection to the database."""

    def __init__(
        self,
        lane: Lane,
        store: Store,
        told: Told,
        publish: Callable[[str, bytes], bool],
        mine: Callable[[str], bool],
    ) -> None:
        self.lane: Lane = lane
        self._store = store
        self._told = told
        self._publish = publish
        self._mine = mine
        self._arrivals: deque[Arrival] = deque()
        self._ready: deque[Parcel] = deque()
        self._bytes = 0
        self._rows_ahead = 0
        self._arrived = asyncio.Event()
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._must_greet = False
        self._met: set[Spool] = set()  # those that were told something on this connection
        self._strangers: set[Spool] = set()
        self._unsure = False
        self._held_up = False
        self._stopping = False
        self._stopped = asyncio.Event()
        self._said: dict[str, float] = {}

    def arrived(self, name: str, payload: bytes, acknowledge: Acknowledge) -> None:
        if self._bytes + len(payload) > BUFFER_BYTES_MAX:
            acknowledge()
            self._told.metrics.dropped(self.lane)
            self._say("ingest_full", held_bytes=self._bytes)
            return
        self._bytes += len(payload)
        self._arrivals.append((name, payload, acknowledge))
        self._arrived.set()

    def greet(self) -> None:
        self._must_greet = True
        self._met.clear()
        self._work.set()

    def meet(self, spool: Spool) -> None:
        if spool not in self._met and len(self._strangers) < MET_MAX:
            self._strangers.add(spool)
            self._work.set()

    async def run(self) -> None:
        """When one of both tasks crashes the other ends too: a lane that only hears, or only stores, is none."""
        try:
            async with asyncio.TaskGroup() as group:
                decoding = group.create_task(self._decode())
                await self._commit()
                decoding.cancel()
        finally:
            self._stopped.set()

    async def stop(self) -> None:
        self._stopping = True
        self._work.set()
        await self._stopped.wait()

    # --- from bytes to parcels ---

    async def _decode(self) -> None:
        while True:
            self._arrived.clear()
            while self._arrivals:
                while self._rows_ahead >= AHEAD_ROWS_MAX:
                    self._room.clear()
                    await self._room.wait()
                name, payload, acknowledge = self._arrivals.popleft()
                try:
                    await self._open(name, payload, acknowledge)
                except Exception:
                    log.exception("arrival_crashed", lane=self.lane, topic=name)
            await self._arrived.wait()

    async def _open(self, name: str, payload: bytes, acknowledge: Acknowledge) -> None:
        """A large batch takes milliseconds; in a thread they are shared with the running commit and the other lane."""
        try:
            if len(payload) > HERE_BYTES_MAX:
                parcel = await asyncio.to_thread(open_parcel, name, payload, acknowledge)
            else:
                parcel = open_parcel(name, payload, acknowledge)
                await clock.sleep(0)
        except Unfit as error:
            self._unfit(name, payload, acknowledge, str(error))
        except Exception as error:
            log.exception("batch_crashed", lane=self.lane, topic=name)
            self._unfit(name, payload, acknowledge, f"{type(error).__name__}: {error}")
        else:
            self._ready.append(parcel)
            self._rows_ahead += len(parcel.seqs)
            self._work.set()

    def _unfit(self, name: str, payload: bytes, acknowledge: Acknowledge, error: str) -> None:
        self._bytes -= len(payload)
        self._told.metrics.unfit(self.lane)
        self._say("batch_unfit", topic=name, error=error)
        acknowledge()

    # --- from parcels to rows ---

    async def _commit(self) -> None:
        attempt = 0
        while not self._stopping:
            await self._work.wait()
            self._work.clear()
            try:
                await self._commit_what_is_there()
                attempt = 0
                self._goes_on()
            except NOT_THE_ROW as error:
                self._unsure = True
                self._work.set()
                attempt += 1
                self._is_held_up(error, attempt)
                await clock.sleep(_jitter.uniform(0, min(RETRY_S_MAX, RETRY_S_FIRST * 2 ** min(attempt, 10))))

    async def _commit_what_is_there(self) -> None:
        """Raises one of NOT_THE_ROW; what is not committed then is still there."""
        await self._greet_who_waits()
        while self._ready and not self._stopping:
            group = self._group()
            try:
                await self._store_all(group)
            except NOT_THE_ROW:
                self._put_last(group[0].gateway)
                raise
            for parcel in group:
                self._ready.popleft()
                self._bytes -= len(parcel.payload)
                self._rows_ahead -= len(parcel.seqs)
                parcel.acknowledge()
            self._room.set()
            await self._greet_who_waits()

    def _group(self) -> list[Parcel]:
        """What one transaction takes: one parcel and, unless held up, as many more as COMMIT_ROWS_MAX allows."""
        if self._held_up:
            return [self._ready[0]]
        group: list[Parcel] = []
        rows = 0
        for parcel in self._ready:
            rows += len(parcel.seqs)
            if group and rows > COMMIT_ROWS_MAX:
                break
            group.append(parcel)
        return group

    def _put_last(self, gateway: str) -> None:
        """Its parcels in their order, behind those of the others: it may be the only one that cannot go on."""
        self._ready = deque(sorted(self._ready, key=lambda parcel: parcel.gateway == gateway))

    async def _store_all(self, group: Sequence[Parcel]) -> None:
        """Commit `group`, in as many transactions as its bad rows ask for. Raises one of NOT_THE_ROW."""
        try:
            await self._store_once(group)
        except Exception as error:
            if not _blames_a_row(error):
                raise
            if len(group) == 1 and len(group[0].seqs) <= 1:
                await self._store_alone(group[0], error)
                return
            for half in _halves(group):
                await self._store_all(half)

    async def _store_alone(self, parcel: Parcel, first: Exception) -> None:
        """A row that was refused once: the moment may have been at fault."""
        try:
            await self._store_once([parcel])
        except Exception as second:
            if not _blames_a_row(second):
                raise
            if type(second) is not type(first):
                raise TryAgain(f"{first}; then {second}") from second
            await self._set_aside(parcel, second)

    async def _store_once(self, group: Sequence[Parcel]) -> None:
        await self._told.registry.register(self._store, group)
        began = clock.monotonic()
        async with self._store.transaction() as tx:
            stored = await store_parcels(tx, self.lane, group, self._told.urls, clock.now())
        stored.unsure, self._unsure = self._unsure, False
        self._told.metrics.committed(self.lane, len(group), stored, clock.monotonic() - began)
        self._tell(group, stored)
        self._told.stored(stored)

    async def _set_aside(self, parcel: Parcel, error: Exception) -> None:
        where = {"lane": self.lane, "gateway": parcel.gateway, "epoch": parcel.epoch, "seqs": parcel.seqs}
        ours = not isinstance(error, StoreError)
        log.error("row_set_aside", **where, error=f"{type(error).__name__}: {error}", exc_info=error if ours else None)
        try:
            await self._store_once([parcel.set_aside(f"{type(error).__name__}: {error}")])
        except NOT_THE_ROW:
            raise
        except Exception as second:
            raise TryAgain(f"a refused row cannot be kept: {second}") from second

    def _is_held_up(self, error: Exception, attempt: int) -> None:
        """That the database is gone is said by the store; what passes at once is not worth a line."""
        gone = isinstance(error, DatabaseUnavailable) and not isinstance(error, TryAgain)
        passing = isinstance(error, TryAgain) and attempt <= RETRIES_QUIET
        if not (self._held_up or gone or passing):
            self._held_up = True
            self._told.metrics.held_up(self.lane, 1)
            log.error("commits_held_up", lane=self.lane, error=f"{type(error).__name__}: {error}")

    def _goes_on(self) -> None:
        if self._held_up:
            self._held_up = False
            self._told.metrics.held_up(self.lane, -1)
            log.info("commits_go_on", lane=self.lane)

    # --- what the edges are told ---

    def _tell(self, group: Sequence[Parcel], stored: Stored) -> None:
        """The spool that sent last is told last: that is what stays with the broker."""
        for gateway, epoch in dict.fromkeys(reversed([parcel.spool for parcel in group])).__reversed__():
            self._tell_committed(gateway, epoch, stored.committed[gateway, epoch])
        for parcel in stored.refused:
            self._told.metrics.refused_batch(self.lane)
            self._say("batch_beyond_a_hole", gateway=parcel.gateway, first=parcel.seqs[0] if parcel.seqs else 0)

    async def _greet_who_waits(self) -> None:
        """Between two commits, so that nothing older is said after something newer."""
        if self._must_greet:
            await self._greet()
        if self._strangers:
            await self._greet_strangers()

    async def _greet_strangers(self) -> None:
        """What fails here is done with the next state of the gateway, some seconds later."""
        spools, self._strangers = sorted(self._strangers), set()
        columns = {"gateways": [gateway for gateway, _ in spools], "epochs": [epoch for _, epoch in spools]}
        known = await self._store.rows("cursors_known", lane=self.lane, **columns)
        self._met |= {(row["gateway"], row["epoch"]) for row in known}
        for spool in spools:
            if spool not in self._met:
                self._tell_committed(*spool, 0)

    async def _greet(self) -> None:
        for row in await self._store.rows("cursors_newest", lane=self.lane):
            if self._mine(row["gateway"]):
                self._tell_committed(row["gateway"], row["epoch"], row["committed_seq"])
        self._must_greet = False

    def _tell_committed(self, gateway: str, epoch: str, seq: int) -> None:
        told = Committed(epoch=epoch, seq=seq, committed_at=clock.now())
        if len(self._met) >= MET_MAX:
            self._met.clear()
        if self._publish(topic(GatewayId(gateway), "committed", self.lane), encode(told)):
            self._met.add((gateway, epoch))

    def _say(self, event: str, **bound: object) -> None:
        """A warning, at most once in SAID_EVERY_S each."""
        now = clock.monotonic()
        if now - self._said.get(event, -SAID_EVERY_S) >= SAID_EVERY_S:
            self._said[event] = now
            log.warning(event, lane=self.lane, **bound)


def _blames_a_row(error: Exception) -> bool:
    return isinstance(error, RowBlamed) or not isinstance(error, NOT_THE_ROW)


def _halves(group: Sequence[Parcel]) -> tuple[Sequence[Parcel], Sequence[Parcel]]:
    """Of the parcels, or of the rows of a single one; order is kept, the cursor asks for it."""
    if len(group) > 1:
        middle = len(group) // 2
        return group[:middle], group[middle:]
    parcel, middle = group[0], len(group[0].seqs) // 2
    return [parcel.part(0, middle)], [parcel.part(middle, len(parcel.seqs))]

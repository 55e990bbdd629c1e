"""One connection to the broker that comes back by itself. The only home of aiomqtt in the edge.

Rules
- `run` connects, subscribes, then runs all of `works` until one ends or the connection does; then again, with full
  jitter, for ever.
- A subscription that the broker refuses is an outage like any other, told once; but the works run on meanwhile, and
  after SUBSCRIBE_AGAIN_S the channel connects anew: alarms do not wait for somebody to mend the broker's rights.
- Channels of one edge share an Outage: losing the broker is logged once, having all connections back once.
- `publish` is QoS 1 and returns when the broker has it. That proves nothing (only Committed does); it keeps one lane
  from filling the socket.
"""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self

import aiomqtt
import structlog
from msgspec import Struct
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge import clock
from edge.config import Broker

KEEPALIVE_S = 20
CONNECT_S_MAX = 10.0
PUBLISH_S_MAX = 60.0
BACKOFF_S_FIRST = 0.1
BACKOFF_S_MAX = 30.0
SUBSCRIBE_AGAIN_S = 60.0
REFUSED_FROM = 0x80  # reason codes of the broker that are errors
CANCEL_AGAIN_S = 0.1
SESSION_S = 86_400
HEALTHY_S = 60.0  # connected for so long: the next trouble starts with the short wait again
# Without this the kernel keeps a batch back until the acknowledgement of the one before, for up to 40 ms.
NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)

log = structlog.get_logger()
_jitter = random.SystemRandom()
_quiet = logging.getLogger("edge.mqtt.client")  # what aiomqtt would say of each attempt
_quiet.setLevel(logging.CRITICAL)

Arrived = Callable[[str, bytes, bool], None]  # topic, payload, whether it was retained
Confirm = Callable[[], None]
ChannelError = aiomqtt.MqttError


class Will(Struct, frozen=True):
    """What the broker says for us, retained, when we are gone without a word."""

    topic: str
    payload: bytes


class Outage:
    """Which channels are down. `uplink_connected` once all are up for the first time, then lost and recovered."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._down = set(names)
        self._said_lost = False
        self._was_up = False

    @property
    def over(self) -> bool:
        return not self._down

    def lost(self, channel: str, error: str) -> None:
        self._down.add(channel)
        if not self._said_lost:
            self._said_lost = True
            log.error("uplink_lost", error=error)

    def up(self, channel: str) -> None:
        self._down.discard(channel)
        if self._down:
            return
        if not self._was_up:
            log.info("uplink_connected")
        elif self._said_lost:
            log.info("uplink_recovered")
        self._was_up, self._said_lost = True, False


class Channel:
    def __init__(
        self,
        broker: Broker,
        password: str,
        *,
        name: str,
        identifier: str,
        topics: tuple[str, ...],
        outage: Outage,
        arrived: Arrived,
        works: tuple[Callable[[], Awaitable[None]], ...],
        will: Will | None = None,
    ) -> None:
        """`name` is the channel's in the outage. A work that raises ChannelError makes the channel reconnect."""
        self._broker = broker
        self._password = password
        self._name = name
        self._identifier = identifier
        self._topics = topics
        self._outage = outage
        self._arrived = arrived
        self._works = works
        self._will = will
        self._tls = ssl.create_default_context() if broker.tls else None
        self._client: aiomqtt.Client | None = None

    async def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Raises ChannelError when the broker is away or does not answer."""
        if self._client is None:
            raise ChannelError("not connected")
        await self._client.publish(topic, payload, qos=1, retain=retain, timeout=PUBLISH_S_MAX)

    async def run(self) -> None:
        """Until cancelled."""
        attempt = 0
        while True:
            began = clock.monotonic()
            try:
                await self._connect_once()
            except (aiomqtt.MqttError, OSError, TimeoutError) as error:
                self._outage.lost(self._name, str(error) or type(error).__name__)
            finally:
                self._client = None
            attempt = 1 if clock.monotonic() - began > HEALTHY_S else attempt + 1
            await clock.sleep(backoff_s(attempt, _jitter.random()))

    async def _connect_once(self) -> None:
        """Connect, subscribe, work until the connection ends; raises then."""
        async with self._new_client() as client:
            refused = await refusals(client, self._topics)
            self._client = client
            tasks = [asyncio.ensure_future(work()) for work in self._works]
            if refused:
                self._outage.lost(self._name, refused)
                tasks.append(asyncio.ensure_future(_end_after(SUBSCRIBE_AGAIN_S, refused)))
            else:
                self._outage.up(self._name)
            tasks.append(asyncio.ensure_future(self._listen(client)))
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await end(tasks)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = message.payload
            if isinstance(payload, bytes | bytearray):
                self._arrived(message.topic.value, bytes(payload), message.retain)

    def _new_client(self) -> aiomqtt.Client:
        ours = self._will
        will = aiomqtt.Will(ours.topic, ours.payload, qos=1, retain=True) if ours else None
        return _Client(
            self._broker.host,
            self._broker.port,
            username=self._broker.username or None,
            password=self._password or None,
            identifier=self._identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            keepalive=KEEPALIVE_S,
            clean_start=True,
            timeout=CONNECT_S_MAX,
            will=will,
            tls_context=self._tls,
            socket_options=NO_DELAY,
            logger=_quiet,
        )


class Subscriber:
    """A broker that devices publish to. The broker keeps what comes while we are away (SESSION_S), and has each arrival
    confirmed when its `confirm` is called; after `hang_up` it sends again what was not."""

    def __init__(
        self,
        broker: Broker,
        password: str,
        *,
        identifier: str,
        topics: tuple[str, ...],
        tls: ssl.SSLContext | None,
        receive_max: int,
        arrived: Callable[[str, bytes, bool, Confirm], None],
        ended: Callable[[], None],
        lost: Callable[[str], None],
        found: Callable[[], None],
    ) -> None:
        """`ended` is called after each connection, before the next, `lost` when something went wrong."""
        self._broker = broker
        self._password = password
        self._identifier = identifier
        self._topics = topics
        self._tls = tls
        self._receive_max = receive_max
        self._arrived = arrived
        self._ended = ended
        self._lost = lost
        self._found = found
        self._client: _Confirming | None = None

    @property
    def connected(self) -> bool:
        return self._client is not None

    def publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        """QoS 1, on its way when True; False when the broker is away."""
        return self._client is not None and self._client.send(topic, payload, retain)

    def hang_up(self) -> None:
        if self._client is not None:
            self._client.hung_up.set()

    async def run(self) -> None:
        """Until cancelled."""
        attempt = 0
        while True:
            began = clock.monotonic()
            try:
                await self._connect_once()
            except (aiomqtt.MqttError, OSError, TimeoutError, ValueError) as error:
                self._lost(str(error) or type(error).__name__)
            finally:
                self._client = None
                self._ended()
            heed_cancel()
            attempt = 1 if clock.monotonic() - began > HEALTHY_S else attempt + 1
            await clock.sleep(backoff_s(attempt, _jitter.random()))

    async def _connect_once(self) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = self._receive_max
        properties.SessionExpiryInterval = SESSION_S
        client = _Confirming(
            self._broker.host,
            self._broker.port,
            username=self._broker.username or None,
            password=self._password or None,
            identifier=self._identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            keepalive=KEEPALIVE_S,
            clean_start=False,
            timeout=CONNECT_S_MAX,
            properties=properties,
            tls_context=self._tls,
            socket_options=NO_DELAY,
            logger=_quiet,
        )
        client.confirm_to(self._arrived)
        async with client:
            refused = await refusals(client, self._topics)
            heed_cancel()
            if refused:
                raise ChannelError(refused)
            self._client = client
            self._found()
            await client.ended()


class _Client(aiomqtt.Client):
    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except asyncio.CancelledError:
            # aiomqtt's callbacks go on until the socket ends, and stumble over the wait that was cancelled.
            self._connected, self._disconnected = asyncio.Future(), asyncio.Future()
            self._connected.set_result(None)
            self._disconnected.set_result(None)
            raise


class _Confirming(_Client):
    """aiomqtt's own iterator confirms at once; this takes arrivals where paho gives them."""

    def confirm_to(self, arrived: Callable[[str, bytes, bool, Confirm], None]) -> None:
        self._arrived = arrived
        self.hung_up = asyncio.Event()
        self._client.manual_ack_set(True)

    async def ended(self) -> None:
        """Returns or raises MqttError when the connection ends, or `hung_up` is set."""
        ends: list[asyncio.Future[Any]] = [self._disconnected, asyncio.ensure_future(self.hung_up.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ends[1].cancel()
        if self._disconnected.done() and (error := self._disconnected.exception()) is not None:
            raise aiomqtt.MqttError(str(error) or type(error).__name__) from error

    def send(self, topic: str, payload: bytes, retain: bool) -> bool:
        return not self._disconnected.done() and self._client.publish(topic, payload, 1, retain).rc == 0

    def _on_message(self, client: Any, userdata: Any, message: MQTTMessage) -> None:
        mid, qos = message.mid, message.qos

        def confirm() -> None:
            if not self._disconnected.done():
                self._client.ack(mid, qos)

        self._arrived(message.topic, bytes(message.payload), message.retain, confirm)


async def refusals(client: aiomqtt.Client, topics: tuple[str, ...]) -> str:
    """Subscribe; what the broker refuses, "" when it grants everything."""
    if not topics:
        return ""
    granted = await client.subscribe([(topic, 1) for topic in topics])
    codes = [code if isinstance(code, int) else code.value for code in granted]
    refused = [topic for topic, code in zip(topics, codes, strict=True) if code >= REFUSED_FROM]
    return f"subscription refused: {', '.join(refused)}" if refused else ""


def heed_cancel() -> None:
    """After a wait of aiomqtt's: `asyncio.wait_for` forgets a cancellation that comes with its result (Python 3.11)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def backoff_s(attempt: int, chance: float) -> float:
    """Full jitter: anywhere between nothing and the doubled wait. `chance` in [0, 1)."""
    return chance * min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2.0 ** min(attempt, 20))


async def _end_after(seconds: float, error: str) -> None:
    await clock.sleep(seconds)
    raise ChannelError(error)


async def end(tasks: Iterable["asyncio.Future[None]"]) -> None:
    """Cancel tasks and wait for their end. Asked again and again: up to Python 3.11 `asyncio.wait_for` forgets a
    cancellation that comes together with its result."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)

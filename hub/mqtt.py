"""One connection to the broker that comes back by itself. The only home of aiomqtt in the hub.

Rules
- A channel subscribes, hands every arrival over in the event loop, and reconnects with full jitter for ever. All
  channels of one hub share an Outage, so that losing the broker and having it back are logged once each.
- A subscription that the broker denies is a broker that is lost: a hub that hears nothing must not look well.
- An arrival is confirmed to the broker when its receiver says so, not when it arrives. Together with Receive Maximum
  that is the back pressure: the broker holds what we have no room for. (It proves nothing to an edge; only Committed
  does.)
- `publish` never waits and never queues across an outage: whoever needs it again publishes it again in `connected`.

aiomqtt's own iterator acknowledges at once and costs a task an arrival; the subclass takes arrivals where paho gives
them.
"""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import aiomqtt
import structlog
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from hub import clock
from hub.config import Broker

KEEPALIVE_S = 20
CONNECT_S_MAX = 10.0
BACKOFF_S_FIRST = 0.2
BACKOFF_S_MAX = 10.0
PENDING_PUBLISHES_MAX = 10_000
SUBSCRIPTION_DENIED = 0x80  # reason codes of a SUBACK from here on
# A receipt follows an acknowledgement at once: without this the kernel keeps it back for up to 40 ms.
NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)

Acknowledge = Callable[[], None]
Arrived = Callable[[str, bytes, Acknowledge], None]

log = structlog.get_logger()
_jitter = random.SystemRandom()
_quiet = logging.getLogger("hub.mqtt.client")  # what aiomqtt would say of each attempt
_quiet.setLevel(logging.CRITICAL)


class Outage:
    """Which channels are down; one line when the first goes, one when all are back."""

    def __init__(self) -> None:
        self._down: set[str] = set()

    @property
    def over(self) -> bool:
        return not self._down

    def lost(self, channel: str, error: str) -> None:
        if not self._down:
            log.error("broker_lost", error=error)
        self._down.add(channel)

    def recovered(self, channel: str) -> None:
        if channel in self._down:
            self._down.discard(channel)
            if not self._down:
                log.info("broker_recovered")


class Channel:
    """`run()` it as a task. `connected` is called after each subscription, in the event loop."""

    def __init__(
        self,
        broker: Broker,
        password: str,
        identifier: str,
        topics: tuple[str, ...],
        outage: Outage,
        *,
        arrived: Arrived,
        connected: Callable[[], None] = lambda: None,
        receive_max: int,
    ) -> None:
        self._broker = broker
        self._password = password
        self.identifier = identifier
        self._topics = topics
        self._outage = outage
        self._arrived = arrived
        self._connected = connected
        self._receive_max = receive_max
        self._client: _Client | None = None
        self.subscribed = asyncio.Event()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """QoS 1, on its way when True; False when the broker is away."""
        return self._client is not None and self._client.send(topic, payload, retain)

    async def run(self) -> None:
        """Until cancelled."""
        attempt = 0
        while True:
            began = clock.monotonic()
            try:
                await self._connect_once()
            except (aiomqtt.MqttError, OSError, ValueError) as error:  # ValueError: a host name that cannot be one
                self._outage.lost(self.identifier, str(error) or type(error).__name__)
            finally:
                self.subscribed.clear()
                self._client = None
            _heed_cancel()
            attempt = 0 if clock.monotonic() - began > BACKOFF_S_MAX else attempt + 1
            await clock.sleep(_jitter.uniform(0, min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2 ** min(attempt, 10))))

    async def _connect_once(self) -> None:
        """Connect, subscribe, stay until the connection ends; raises MqttError then."""
        async with _Client(self._broker, self._password, self.identifier, self._arrived, self._receive_max) as client:
            _check_granted(self._topics, await client.subscribe([(topic, 1) for topic in self._topics]))
            _heed_cancel()
            self._client = client
            self._outage.recovered(self.identifier)
            self.subscribed.set()
            self._connected()
            await client.ended()


def _check_granted(topics: Sequence[str], codes: Iterable[Any]) -> None:
    """A broker may take the connection and let it hear nothing. Raises MqttError."""
    for topic, code in zip(topics, codes, strict=False):
        if getattr(code, "value", code) >= SUBSCRIPTION_DENIED:
            raise aiomqtt.MqttError(f"the broker denies the subscription to {topic}: {code}")


def _heed_cancel() -> None:
    """aiomqtt waits by `asyncio.wait_for`: up to Python 3.11 that forgets a cancellation that comes with its result."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class _Client(aiomqtt.Client):
    """One connection: arrivals go straight to `arrived`, confirmations wait for us."""

    def __init__(self, broker: Broker, password: str, identifier: str, arrived: Arrived, receive_max: int) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = receive_max
        super().__init__(
            broker.host,
            broker.port,
            username=broker.username or None,
            password=password or None,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            keepalive=KEEPALIVE_S,
            clean_start=True,
            timeout=CONNECT_S_MAX,
            properties=properties,
            tls_context=ssl.create_default_context() if broker.tls else None,
            max_queued_outgoing_messages=PENDING_PUBLISHES_MAX,
            socket_options=NO_DELAY,
            logger=_quiet,
        )
        self._arrived = arrived
        self._client.manual_ack_set(True)

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except asyncio.CancelledError:
            # aiomqtt's callbacks go on until the socket ends, and stumble over the wait that was cancelled.
            self._connected, self._disconnected = asyncio.Future(), asyncio.Future()
            self._connected.set_result(None)
            self._disconnected.set_result(None)
            raise

    async def ended(self) -> None:
        """Returns or raises MqttError when the connection ends, whatever it was that ended it."""
        await asyncio.wait([self._disconnected])
        error = self._disconnected.exception()
        if error is not None:
            raise aiomqtt.MqttError(str(error) or type(error).__name__) from error

    def send(self, topic: str, payload: bytes, retain: bool) -> bool:
        return not self._disconnected.done() and self._client.publish(topic, payload, 1, retain).rc == 0

    def _on_message(self, client: Any, userdata: Any, message: MQTTMessage) -> None:
        mid, qos = message.mid, message.qos

        def acknowledge() -> None:
            if not self._disconnected.done():
                self._client.ack(mid, qos)

        self._arrived(message.topic, bytes(message.payload), acknowledge)

"""MQTT links: devices, or the servers that speak for them, publish to a broker; one session reads what they say.

Rules
- What arrives is confirmed to the broker when it is durable. When the spool does not take it, the connection is ended,
  so that the broker sends it again. While the edge is away the broker keeps QoS 1 messages for it, for a day.
- Bounded: RECEIVE_MAX messages that are not confirmed, after which the broker waits; while the link holds they are kept
  unread (QoS 0 knows no waiting: what is more is dropped and counted). A message longer than the family's
  `message_bytes_max` is rejected.
- A crash inside the session costs the message that did it. Then, and when the spool refuses, a new session begins.
- A command is published at once, or refused while the broker is away.
"""

import asyncio
import ssl
from collections import deque
from datetime import datetime

import structlog
from msgspec import Struct

from devices.family import Commanded, CommandRefused, DeviceCommand, Message, MessageFamily
from devices.observation import Result, rejected
from edge import clock
from edge.config import Broker
from edge.flow import CRASHED, NO_WAY, Delivery, Flow, Seldom, Wiring
from edge.mqtt import Confirm, Subscriber, end
from edge.spool_file import SpoolError

RECEIVE_MAX = 100

log = structlog.get_logger()


class _Arrival(Struct, frozen=True):
    message: Message
    confirm: Confirm


class MqttLink:
    """One link: one connection to one broker."""

    def __init__(
        self,
        wiring: Wiring,
        family: MessageFamily,
        broker: Broker,
        password: str,
        *,
        identifier: str,
        topics: tuple[str, ...],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = wiring.name
        self.port = broker.port
        self.dropped = 0
        self._wiring = wiring
        self._family = family
        self.flow = Flow(wiring.rows_max, lambda: None, self._go_on)
        self._session = family.open_session(wiring.settings, wiring.enrolled)
        self._waiting: deque[_Arrival] = deque()
        self._crash = Seldom()
        self._lost = False
        self._subscriber = Subscriber(
            broker,
            password,
            identifier=identifier,
            topics=topics,
            tls=tls,
            receive_max=RECEIVE_MAX,
            arrived=self._arrived,
            ended=self._ended,
            lost=self._say_lost,
            found=self._say_found,
        )
        self._running: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        return int(self._subscriber.connected)

    async def open(self) -> None:
        self._running = asyncio.create_task(self._subscriber.run())

    def stop_reading(self) -> None:
        self.flow.stop()

    async def close(self) -> None:
        if self._running is not None:
            await end([self._running])

    def sweep(self) -> None:
        """Silence is the broker's to notice."""

    def command(self, command: DeviceCommand, now: datetime) -> None:
        if not isinstance(self._session, Commanded):
            raise CommandRefused(NO_WAY)
        if not self._subscriber.connected:
            raise CommandRefused("the broker of the devices is away")
        try:
            self._session.command(command, now)
            self._publish(self._session.to_send())
        except CommandRefused:
            raise
        except Exception as error:
            self._begin_anew()
            if self._crash.due():
                log.exception("link_crashed", link=self.name)
            raise CommandRefused(CRASHED) from error

    def _publish(self, messages: list[Message]) -> None:
        for message in messages:
            self._subscriber.publish(message.channel, message.data, bool(message.headers.get("retain")))

    def _arrived(self, topic: str, data: bytes, retained: bool, confirm: Confirm) -> None:
        arrival = _Arrival(Message(topic, data, {"retained": "1"} if retained else {}), confirm)
        if not self.flow.holding:
            self._work(arrival)
        elif len(self._waiting) < RECEIVE_MAX:
            self._waiting.append(arrival)
        else:
            self.dropped += 1

    def _go_on(self) -> None:
        while self._waiting and not self.flow.holding:
            self._work(self._waiting.popleft())

    def _work(self, arrival: _Arrival) -> None:
        delivery = Delivery(0)
        try:
            results = self._read(arrival.message)
            answers = self._session.to_send()
            delivery = self.flow.deliver(len(results))
            self._wiring.intake.take(self.name, results, lambda error: self._done(delivery, arrival, answers, error))
        except Exception:
            self.flow.settle(delivery)
            self._begin_anew()
            arrival.confirm()  # else it would come again, for ever
            if self._crash.due():
                log.exception("link_crashed", link=self.name)

    def _read(self, message: Message) -> list[Result]:
        if len(message.data) > self._family.message_bytes_max:
            return [rejected("message too long", message.data)]
        return self._session.receive(message, clock.now())

    def _done(self, delivery: Delivery, arrival: _Arrival, answers: list[Message], error: SpoolError | None) -> None:
        if delivery.outcome(error) is not None:
            self._waiting.clear()
            self._begin_anew()
            self._subscriber.hang_up()
            self.flow.settle(delivery, error)
            return
        arrival.confirm()
        self._publish(answers)
        self.flow.settle(delivery)

    def _begin_anew(self) -> None:
        """A session that does not believe that it has told what nobody took."""
        self._session = self._family.open_session(self._wiring.settings, self._wiring.enrolled)

    def _ended(self) -> None:
        self._waiting.clear()  # their broker sends them again

    def _say_lost(self, error: str) -> None:
        if not self._lost:
            self._lost = True
            log.warning("link_lost", link=self.name, error=error)

    def _say_found(self) -> None:
        if self._lost:
            self._lost = False
            log.info("link_recovered", link=self.name)

"""Datagram links: several UDP ports whose datagrams are messages of one session, because the port says what they are.
The channel of a message is "udp/LOCAL PORT/PEER:PORT"; answers go out from that port to that peer.

Rules
- An answer goes out when what it answers is durable; what the spool does not take is not answered, and a new session
  begins: the old one believes that it has told it.
- While the link holds, datagrams are dropped and counted: UDP knows no other back pressure.
- A crash inside the session costs the datagram that did it, and begins a new session.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from datetime import datetime

import structlog

from devices.family import Commanded, CommandRefused, DeviceCommand, Message, MessageFamily
from devices.observation import Result, rejected
from edge import clock
from edge.flow import CRASHED, NO_WAY, Delivery, Flow, LinkError, Seldom, Wiring
from edge.spool_file import SpoolError

RECEIVE_BYTES_MAX = 4_000_000  # what the kernel keeps for us while the loop is busy

log = structlog.get_logger()


class DatagramLink:
    def __init__(self, wiring: Wiring, family: MessageFamily, *, host: str, ports: tuple[int, ...]) -> None:
        self.name = wiring.name
        self.dropped = 0
        self.flow = Flow(wiring.rows_max, lambda: None, lambda: None)
        self._wiring = wiring
        self._family = family
        self._host = host
        self._asked = ports
        self._session = family.open_session(wiring.settings, wiring.enrolled)
        self._crash = Seldom()
        self._open: dict[int, asyncio.DatagramTransport] = {}

    @property
    def port(self) -> int:
        return min(self._open, default=self._asked[0])

    @property
    def connections(self) -> int:
        return len(self._open)

    async def open(self) -> None:
        """Bind all ports; raises LinkError."""
        loop = asyncio.get_running_loop()
        for asked in self._asked:
            try:
                transport, end = await loop.create_datagram_endpoint(
                    lambda: _Port(self._arrived), local_addr=(self._host, asked)
                )
            except OSError as error:
                await self.close()
                reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
                raise LinkError(f"link {self.name}: cannot listen on {self._host}:{asked}: {reason}") from error
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES_MAX)
            end.port = int(transport.get_extra_info("sockname")[1])
            self._open[end.port] = transport

    def stop_reading(self) -> None:
        self.flow.stop()

    async def close(self) -> None:
        for transport in self._open.values():
            transport.close()
        self._open.clear()

    def sweep(self) -> None:
        """The session forgets by itself."""

    def command(self, command: DeviceCommand, now: datetime) -> None:
        if not isinstance(self._session, Commanded):
            raise CommandRefused(NO_WAY)
        try:
            self._session.command(command, now)
            asked = self._session.to_send()
            if closed := [port for message in asked if (port := _port_of(message)) not in self._open]:
                raise CommandRefused(f"port {closed[0]} is not one of this link")
            self._send(asked)
        except CommandRefused:
            raise
        except Exception as error:
            self._begin_anew()
            if self._crash.due():
                log.exception("link_crashed", link=self.name)
            raise CommandRefused(CRASHED) from error

    def _arrived(self, port: int, peer: tuple[str, int], data: bytes) -> None:
        if self.flow.holding:
            self.dropped += 1
            return
        delivery = Delivery(0)
        try:
            results = self._read(Message(f"udp/{port}/{peer[0]}:{peer[1]}", data))
            answers = self._session.to_send()
            delivery = self.flow.deliver(len(results))
            self._wiring.intake.take(self.name, results, lambda error: self._done(delivery, answers, error))
        except Exception:
            self.flow.settle(delivery)
            self._begin_anew()
            if self._crash.due():
                log.exception("link_crashed", link=self.name)

    def _read(self, message: Message) -> list[Result]:
        if len(message.data) > self._family.message_bytes_max:
            return [rejected("message too long", message.data)]
        return self._session.receive(message, clock.now())

    def _done(self, delivery: Delivery, answers: list[Message], error: SpoolError | None) -> None:
        error = self.flow.settle(delivery, error)
        if error is not None:
            self._begin_anew()
        else:
            self._send(answers)

    def _send(self, messages: list[Message]) -> None:
        for message in messages:
            host, _, peer_port = message.channel.rpartition("/")[2].rpartition(":")
            if (transport := self._open.get(_port_of(message))) is not None:
                transport.sendto(message.data, (host, int(peer_port)))

    def _begin_anew(self) -> None:
        self._session = self._family.open_session(self._wiring.settings, self._wiring.enrolled)


def _port_of(message: Message) -> int:
    """Ours."""
    return int(message.channel.split("/")[1])


class _Port(asyncio.DatagramProtocol):
    def __init__(self, arrived: Callable[[int, tuple[str, int], bytes], None]) -> None:
        self.port = 0
        self._arrived = arrived

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._arrived(self.port, addr, data)

    def error_received(self, exc: Exception) -> None:
        """An ICMP "unreachable" for an answer of ours: the device will ask again."""

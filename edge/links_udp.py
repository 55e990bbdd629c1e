"""UDP-server links: each peer address has a Session of its own. The only code that knows their socket.

Rules
- A datagram is whole: what it leaves half is given up at once.
- An answer goes out when what it answers is durable, to the address the datagram came from; what the spool does not
  take is not answered, so that the device sends it again.
- Bounded: `peers_max` sessions (the peer that was quiet longest and never showed an enrolled device gives way, then the
  quietest of all: a forged address costs an attacker nothing), and rows on their way to the disk. While the link holds,
  datagrams are dropped and counted: UDP knows no other back pressure, and a device that is not answered sends again.
- A crash inside a Session costs that Session.
- A command is sent at once to the address from which its device spoke last.
- `group`: an IPv4 multicast group to join on the interface `host`.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from datetime import datetime

import structlog
from msgspec import Struct

from devices.family import Commanded, CommandRefused, DeviceCommand, Family, Session
from devices.observation import DeviceId, Observation, Result
from edge import clock
from edge.flow import CRASHED, NO_WAY, Delivery, Flow, LinkError, NotHere, Seldom, Wiring
from edge.spool_file import SpoolError

RECEIVE_BYTES_MAX = 4_000_000  # what the kernel keeps for us while the loop is busy

log = structlog.get_logger()

Peer = tuple[str, int]


class _Known(Struct):
    session: Session
    last_at: float


class UdpServer(asyncio.DatagramProtocol):
    """One link: a port and the peers that have been heard on it."""

    def __init__(
        self, wiring: Wiring, family: Family, *, host: str, port: int, peers_max: int, group: str = ""
    ) -> None:
        self.name = wiring.name
        self.dropped = 0
        self._wiring = wiring
        self._family = family
        self._address = (host, port)
        self._group = group
        self._peers_max = peers_max
        self._enrolled: dict[Peer, _Known] = {}  # both: the one that was quiet longest first
        self._strangers: dict[Peer, _Known] = {}
        self._of: dict[DeviceId, Peer] = {}  # where devices spoke last
        self.flow = Flow(wiring.rows_max, lambda: None, lambda: None)
        self._full, self._crash = Seldom(), Seldom()
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        assert self._transport is not None, "not open"
        return int(self._transport.get_extra_info("sockname")[1])

    @property
    def connections(self) -> int:
        return len(self._enrolled) + len(self._strangers)

    async def open(self) -> None:
        """Bind; raises LinkError."""
        try:
            sock = self._bound()
        except OSError as error:
            host, port = self._address
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise LinkError(f"link {self.name}: cannot listen on {host}:{port}: {reason}") from error
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=sock)

    def _bound(self) -> socket.socket:
        host, port = self._address
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES_MAX)
            if self._group:
                joined = socket.inet_aton(self._group) + socket.inet_aton(str(address[0]))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
                address = (self._group, port)
            sock.bind(address)
        except OSError:
            sock.close()
            raise
        return sock

    def stop_reading(self) -> None:
        self.flow.stop()

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def sweep(self) -> None:
        """Forget peers that have been silent for longer than a device of the family may."""
        before = clock.monotonic() - 2 * self._family.silence_s_max
        for peers in (self._enrolled, self._strangers):
            while peers and peers[first := next(iter(peers))].last_at < before:
                del peers[first]

    def command(self, command: DeviceCommand, now: datetime) -> None:
        peer = self._of.get(DeviceId(f"{self._family.name}:{command.native_id}"))
        known = self._enrolled.get(peer) if peer is not None else None
        if peer is None or known is None or self._transport is None or self._transport.is_closing():
            raise NotHere(f"{command.native_id} has not been heard")
        if not isinstance(known.session, Commanded):
            raise CommandRefused(NO_WAY)
        try:
            known.session.command(command, now)
            if data := known.session.to_send():
                self._transport.sendto(data, peer)
        except CommandRefused:
            raise
        except Exception as error:
            del self._enrolled[peer]
            if self._crash.due():
                log.exception("link_crashed", link=self.name)
            raise CommandRefused(CRASHED) from error

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        if self.flow.holding:
            self.dropped += 1
            return
        enrolled = addr in self._enrolled
        known = (self._enrolled if enrolled else self._strangers).pop(addr, None) or self._new_peer()
        known.last_at = clock.monotonic()
        found = self._work(addr, known.session, data)
        if found is not None:
            devices = {result.device for result in found if isinstance(result, Observation)}
            self._of |= dict.fromkeys(devices, addr)
            enrolled = enrolled or bool(devices)
            (self._enrolled if enrolled else self._strangers)[addr] = known

    def error_received(self, exc: Exception) -> None:
        """An ICMP "unreachable" for an answer of ours: the device will ask again."""

    def _new_peer(self) -> _Known:
        if self.connections >= self._peers_max:
            peers = self._strangers or self._enrolled
            del peers[next(iter(peers))]
            if self._full.due():
                log.warning("link_full", link=self.name, connections=self._peers_max)
        return _Known(self._family.open_session(self._wiring.settings, self._wiring.enrolled), 0.0)

    def _work(self, peer: Peer, session: Session, data: bytes) -> Sequence[Result] | None:
        """What the datagram meant; None when the session is of no use any more."""
        delivery = Delivery(0)
        now = clock.now()
        try:
            results = [*session.receive(data, now), *session.idle(now)]
            answer = session.to_send()
            if results or answer:
                delivery = self.flow.deliver(len(results))
                self._wiring.intake.take(self.name, results, lambda error: self._answer(delivery, peer, answer, error))
        except Exception:
            self.flow.settle(delivery)
            if self._crash.due():
                log.exception("link_crashed", link=self.name)
            return None
        return results

    def _answer(self, delivery: Delivery, peer: Peer, answer: bytes, error: SpoolError | None) -> None:
        error = self.flow.settle(delivery, error)
        if error is not None:  # its session believes that it has told what nobody took
            self._enrolled.pop(peer, None)
            self._strangers.pop(peer, None)
        elif answer and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, peer)

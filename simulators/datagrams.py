"""UDP lines: each frame is a datagram. Devices of a radio network have an address each, `source`; where they speak to
several ports, `Packet.channel` names one, "" the scenario's.

A datagram is lost without a word; what must be confirmed is sent again by the device.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from simulators import clock
from simulators.device import Packet
from simulators.faults import disturbed_alone, packet_of_noise
from simulators.scripted import Sender
from simulators.stage import Member, Stage


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._heard(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there, which is told by ICMP: the device sends again."""


class DatagramLine:
    """One device that sends to `port` of `host`."""

    def __init__(self, members: Sequence[Member], stage: Stage) -> None:
        self._members = members
        [member] = members
        self._spec = member.spec
        self._device = member.device
        self._by_port = isinstance(member.device, Sender)
        self._stage = stage
        self._random: random.Random = stage.chance(members)
        self._sockets: dict[int, asyncio.DatagramTransport] = {}

    async def run(self) -> None:
        """Until cancelled; raises only what the device raises."""
        self._device.connected(clock.now())
        try:
            while True:
                self._device.tick(clock.now())
                await self._send()
                self._stage.collect(self._members)
                await clock.sleep(self._stage.tick_s)
        finally:
            for one in self._sockets.values():
                one.close()

    async def _send(self) -> None:
        for piece in disturbed_alone(self._device.to_send(), _noise_like, self._stage.faults, self._random):
            if piece.wait_s:
                await clock.sleep(piece.wait_s)
            frame = piece.data
            port = int(frame.channel or self._spec.port) if isinstance(frame, Packet) else self._spec.port
            data = frame.data if isinstance(frame, Packet) else frame
            assert data is not None
            (await self._socket(port)).sendto(data)

    async def _socket(self, port: int) -> asyncio.DatagramTransport:
        """The one that sends to this port of the other side."""
        if port not in self._sockets:
            same = isinstance(self._device, Sender) and self._device.SAME_PORTS
            ours = (self._spec.source, port if same else 0) if self._spec.source else None
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Socket(lambda data: self._heard(port, data)),
                remote_addr=(self._spec.host, port),
                local_addr=ours,
            )
            self._stage.counts.connections += 1
            self._sockets[port] = transport
        return self._sockets[port]

    def _heard(self, port: int, data: bytes) -> None:
        self._device.receive(Packet(str(port), data) if self._by_port else data, clock.now())
        self._stage.collect(self._members)


def _noise_like(frame: Any, noise: bytes) -> Any:
    return packet_of_noise(frame, noise) if isinstance(frame, Packet) else noise

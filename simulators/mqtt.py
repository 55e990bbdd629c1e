"""MQTT lines: all devices of a family behind one broker share a connection, as they do behind their gateway or server.
The only home of aiomqtt in the simulators.

What is published at QoS 1 counts as accepted when the broker has confirmed it: it keeps it for the edge, whose session
does not end while the edge is away. Whether the edge took it shows at the hub.
"""

import asyncio
import logging
import random
from collections.abc import Sequence

import aiomqtt

from simulators import clock
from simulators.device import Packet
from simulators.faults import disturbed_alone, packet_of_noise
from simulators.stage import Member, Stage, backoff_s

PUBLISH_S_MAX = 10.0
AT_ONCE_MAX = 50

_quiet = logging.getLogger("simulators.mqtt.client")
_quiet.setLevel(logging.CRITICAL)


class MqttLine:
    def __init__(self, members: Sequence[Member], stage: Stage) -> None:
        self._members = members
        self._spec = members[0].spec
        self._stage = stage
        self._random: random.Random = stage.chance(members)

    async def run(self) -> None:
        """Until cancelled; raises only what a device raises."""
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self._client() as client:
                    attempt = 0
                    await self._talk(client)
            except (aiomqtt.MqttError, OSError, TimeoutError):
                self._stage.counts.lost += 1
            await clock.sleep(backoff_s(self._random, attempt))

    def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self._spec.host,
            self._spec.port,
            username=self._spec.username or None,
            password=self._spec.password or None,
            protocol=aiomqtt.ProtocolVersion.V5,
            timeout=PUBLISH_S_MAX,
            logger=_quiet,
        )

    async def _talk(self, client: aiomqtt.Client) -> None:
        """Until the connection ends, or its time is over in a storm."""
        self._stage.counts.connections += 1
        for member in self._members:
            member.device.connected(clock.now())
        storm_s = self._stage.faults.reconnect_every_s
        hang_up_at = clock.monotonic() + storm_s if storm_s else None
        while hang_up_at is None or clock.monotonic() < hang_up_at:
            for member in self._members:
                member.device.tick(clock.now())
            await self._publish_all(client)
            await clock.sleep(self._stage.tick_s)

    async def _publish_all(self, client: aiomqtt.Client) -> None:
        """One device's messages in order, many devices' at once."""
        waiting = [(member, packets) for member in self._members if (packets := member.device.to_send())]
        for start in range(0, len(waiting), AT_ONCE_MAX):
            some = waiting[start : start + AT_ONCE_MAX]
            await asyncio.gather(*(self._publish(client, member, packets) for member, packets in some))
        self._stage.collect(self._members)

    async def _publish(self, client: aiomqtt.Client, member: Member, packets: list[Packet]) -> None:
        for piece in disturbed_alone(packets, packet_of_noise, self._stage.faults, self._random):
            if piece.wait_s:
                await clock.sleep(piece.wait_s)
            packet = piece.data
            assert packet is not None
            await client.publish(packet.channel, packet.data, qos=1, retain="retain" in packet.headers)
            if packet.key is not None:
                member.device.confirm(packet.key)

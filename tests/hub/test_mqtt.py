"""A connection to the broker: it ends when it is told to."""

import asyncio

from hub.config import Broker
from hub.mqtt import Channel, Outage
from tests.conftest import BrokerAddress

ENDS_S_MAX = 5.0


async def test_a_channel_ends_at_whatever_moment_it_is_cancelled(broker: BrokerAddress) -> None:
    address = Broker(host=broker.host, port=broker.port)
    for step in range(100):
        channel = Channel(address, "", f"cancelled-{step}", ("a/+",), Outage(), arrived=lambda *_: None, receive_max=10)
        running = asyncio.ensure_future(channel.run())
        await asyncio.sleep(step / 10_000)
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=ENDS_S_MAX)
        assert done, f"cancelled after {step / 10} ms"

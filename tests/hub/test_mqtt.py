"""A connection to the broker: it ends when it is told to, and stands only when the broker lets it hear."""

import asyncio
import contextlib

from structlog.testing import capture_logs

from hub.config import Broker
from hub.mqtt import Channel, Outage
from tests.conftest import BrokerAddress
from tests.hub.edge_line import until

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


CONNECT, SUBSCRIBE = 0x10, 0x80
CONNACK = bytes((0x20, 3, 0, 0, 0))
NOT_AUTHORISED, GRANTED = 0x87, 1


class Guard:
    """A broker of bare bytes that answers each subscription with the next code, then with GRANTED (mosquitto's rules
    let everybody subscribe and are silent afterwards, so they cannot show this)."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                kind, length = await reader.readexactly(2)  # nothing here is longer than 127
                body = await reader.readexactly(length)
                if kind & 0xF0 == CONNECT:
                    writer.write(CONNACK)
                elif kind & 0xF0 == SUBSCRIBE:
                    code = self.codes.pop(0) if self.codes else GRANTED
                    writer.write(bytes((0x90, 4)) + body[:2] + bytes((0, code)))
        writer.close()


async def test_a_broker_that_denies_the_subscription_is_an_outage() -> None:
    guard, outage, connected = Guard(NOT_AUTHORISED), Outage(), []
    async with await asyncio.start_server(guard.handle, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        channel = Channel(
            Broker(host=host, port=port),
            "",
            "denied",
            ("a/+",),
            outage,
            arrived=lambda *_: None,
            connected=lambda: connected.append(outage.over),
            receive_max=10,
        )
        with capture_logs() as said:
            running = asyncio.ensure_future(channel.run())
            await until(lambda: connected, "the second subscription")
        assert connected == [True] and channel.subscribed.is_set()
        assert [line["event"] for line in said] == ["broker_lost", "broker_recovered"]
        assert "a/+" in said[0]["error"] and "Not authorized" in said[0]["error"]
        running.cancel()
        await asyncio.wait([running], timeout=ENDS_S_MAX)

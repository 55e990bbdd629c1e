"""The edge's connection to its broker, where the broker is slow or strange."""

import asyncio
from typing import Any

from edge import mqtt
from edge.config import Broker
from gridward.broker import HOST

CONNECT = 0x10


async def test_a_stop_before_the_broker_has_answered_is_quiet() -> None:
    """aiomqtt's callbacks stumbled over the wait that had been cancelled: a traceback in the log of a polite stop."""
    asked, hung_up, stumbled = asyncio.Event(), asyncio.Event(), []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.read(1000))[0] == CONNECT
        asked.set()
        await hung_up.wait()
        writer.write(bytes.fromhex("2003008700"))  # CONNACK, not authorized
        writer.close()

    def stumble(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        stumbled.append(context)

    asyncio.get_running_loop().set_exception_handler(stumble)
    async with await asyncio.start_server(broker, HOST, 0) as server:
        channel = mqtt.Channel(
            Broker(host=HOST, port=server.sockets[0].getsockname()[1]),
            "",
            name="test",
            identifier="test",
            topics=(),
            outage=mqtt.Outage(("test",)),
            arrived=lambda topic, payload, retained: None,
            works=(),
        )
        running = asyncio.ensure_future(channel.run())
        async with asyncio.timeout(20):
            await asked.wait()
            await mqtt.end([running])
            hung_up.set()
            while [task for task in asyncio.all_tasks() if "_misc_loop" in repr(task)]:
                await asyncio.sleep(0.01)
    assert stumbled == []

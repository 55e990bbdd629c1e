"""MQTT links with a real broker: confirmed when durable, sent again when not, kept while the edge is away."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import msgspec
from structlog.testing import capture_logs

from devices.family import MessageFamily
from edge.config import Broker
from edge.links_mqtt import MqttLink
from edge.mqtt import end
from tests.conftest import BrokerAddress
from tests.edge.site import until
from tests.edge.test_links_http import BYTES_MAX, DEVICE, FAMILY, TOLD_ONCE, Settings
from tests.edge.wired import ROWS_MAX, Behind, behind

_numbers = itertools.count(1)


class Site:
    """A name of its own at the broker, and who publishes there."""

    def __init__(self, broker: BrokerAddress) -> None:
        self.broker = broker
        self.name = f"buttons-{next(_numbers)}"
        self.heard: list[tuple[str, bytes]] = []

    async def press(self, number: int = 0, data: bytes = b"", qos: int = 1, retain: bool = False) -> None:
        body = data or msgspec.json.encode({"device": DEVICE, "number": number})
        async with aiomqtt.Client(*self.broker, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.publish(f"{self.name}/press", body, qos=qos, retain=retain)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async with aiomqtt.Client(*self.broker, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe("POST /events" if not self.name else f"{self.name}/#", qos=1)
            task = asyncio.ensure_future(self._listen(client))
            try:
                yield
            finally:
                await end([task])

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self.heard.append((message.topic.value, bytes(message.payload)))  # type: ignore[arg-type]

    @asynccontextmanager
    async def link(self, made: Behind, port: int = 0, family: MessageFamily = FAMILY) -> AsyncIterator[MqttLink]:
        address = Broker(host=self.broker.host, port=port or self.broker.port)
        link = MqttLink(
            made.wiring(Settings(), DEVICE), family, address, "", identifier=self.name, topics=(f"{self.name}/press",)
        )
        await link.open()
        try:
            yield link
        finally:
            link.stop_reading()
            await link.close()


async def test_what_is_published_is_stored_once(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    async with behind(tmp_path) as made, site.link(made) as link:
        await until(lambda: link.connections, "connected")
        for number in range(20):
            await site.press(number)
        await until(lambda: len(made.rows()) == 20, "stored")
        assert [row.frame_id for row in made.rows()] == [str(number) for number in range(20)]


async def test_what_the_disk_refused_is_sent_again_by_the_broker(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    async with behind(tmp_path) as made, site.link(made, family=TOLD_ONCE) as link:
        await until(lambda: link.connections, "connected")
        made.disk_full(True)
        await site.press(1)
        await until(lambda: made.spool.failing, "the disk refuses")
        made.disk_full(False)
        await until(lambda: len(made.rows()) == 1, "stored at last")
        await site.press(2)
        await until(lambda: len(made.rows()) == 2, "and on it goes")


async def test_what_comes_while_the_edge_is_away_waits_at_the_broker(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    async with behind(tmp_path) as made:
        async with site.link(made) as link:
            await until(lambda: link.connections, "connected")
        await site.press(7)
        async with site.link(made):
            await until(lambda: [row.frame_id for row in made.rows()] == ["7"], "stored")


async def test_a_link_that_holds_reads_on_when_it_may(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    async with behind(tmp_path) as made, site.link(made) as link:
        await until(lambda: link.connections, "connected")
        held = link.flow.deliver(ROWS_MAX + 1)
        for number in range(3):
            await site.press(number)
        await until(lambda: len(link._waiting) == 3, "kept unread")
        assert made.rows() == []
        link.flow.settle(held)
        await until(lambda: len(made.rows()) == 3, "stored")


async def test_qos_0_beyond_what_is_kept_is_dropped_and_counted(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    async with behind(tmp_path) as made, site.link(made) as link:
        await until(lambda: link.connections, "connected")
        link.flow.deliver(ROWS_MAX + 1)
        async with aiomqtt.Client(*broker, protocol=aiomqtt.ProtocolVersion.V5) as client:
            for number in range(150):
                await client.publish(f"{site.name}/press", b"%d" % number, qos=0)
        await until(lambda: link.dropped == 50 and len(link._waiting) == 100, "bounded")


async def test_a_crash_costs_one_message(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    async with behind(tmp_path) as made, site.link(made) as link:
        await until(lambda: link.connections, "connected")
        await site.press(data=b"crash")
        await site.press(data=b"x" * (BYTES_MAX + 1))
        await site.press(1)
        await until(lambda: len(made.rows()) == 1, "stored")


async def test_answers_are_published(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    async with behind(tmp_path) as made, site.link(made) as link, site.listening():
        await until(lambda: link.connections, "connected")
        link._session.receive = lambda message, now: (
            link._session._answers.append(  # type: ignore[method-assign]
                type(message)(f"{site.name}/set", b"on")
            )
            or []
        )
        await site.press(1)
        await until(lambda: (f"{site.name}/set", b"on") in site.heard, "heard")


async def test_a_broker_that_is_away_is_lost_and_recovered_once(tmp_path: Path, broker: BrokerAddress) -> None:
    site = Site(broker)
    with capture_logs() as logs:
        async with behind(tmp_path) as made, site.link(made, port=1) as link:
            await until(lambda: [line for line in logs if line["event"] == "link_lost"], "told")
            link._subscriber._broker = Broker(host=broker.host, port=broker.port)
            await until(lambda: link.connections, "connected")
    assert [line["event"] for line in logs if line["event"].startswith("link_")] == ["link_lost", "link_recovered"]

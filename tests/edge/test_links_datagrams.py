"""Datagram links with real sockets: answers come from the port that was called, what was refused is told anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devices.families import dmr
from devices.observation import Alarm
from edge.flow import LinkError
from edge.links_datagrams import DatagramLink
from tests.devices import messages
from tests.edge.site import until
from tests.edge.test_links_udp import Peer, peer
from tests.edge.wired import ROWS_MAX, Behind, behind

RADIO, EMERGENCY = messages.GOOD_MESSAGES["dmr"].native_id, messages.GOOD_MESSAGES["dmr"].message.data


@asynccontextmanager
async def link(made: Behind, *ports: int) -> AsyncIterator[DatagramLink]:
    found = DatagramLink(made.wiring(dmr.Settings(), RADIO), dmr.FAMILY, host="127.0.0.1", ports=ports or (0, 0))
    await found.open()
    try:
        yield found
    finally:
        found.stop_reading()
        await found.close()


def emergencies(made: Behind) -> int:
    return len([row for row in made.rows() if row.body == Alarm(kind="sos")])


async def test_an_emergency_is_stored_and_answered_from_its_port(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as found, peer(max(found._open)) as radio:
        radio.send(EMERGENCY)
        await until(lambda: emergencies(made) == 1, "stored")
        assert found.connections == 2


async def test_what_the_disk_refused_is_told_when_it_comes_again(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as found, peer(found.port) as radio:
        made.disk_full(True)
        radio.send(EMERGENCY)
        await until(lambda: made.spool.failing, "the disk refuses")
        assert radio.received == []
        made.disk_full(False)
        radio.send(EMERGENCY)
        await until(lambda: emergencies(made) == 1, "stored")


async def test_a_link_that_holds_drops_and_counts(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as found, peer(found.port) as radio:
        held = found.flow.deliver(ROWS_MAX + 1)
        radio.send(EMERGENCY)
        await until(lambda: found.dropped == 1, "dropped")
        found.flow.settle(held)
        radio.send(EMERGENCY)
        await until(lambda: emergencies(made) == 1, "stored")


async def test_a_port_in_use_closes_the_others(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as found:
        taken = found.port
        with pytest.raises(LinkError, match=f"cannot listen on 127.0.0.1:{taken}: Address already in use"):
            async with link(made, 0, taken):
                pass
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError):
            await loop.create_datagram_endpoint(Peer, local_addr=("127.0.0.1", taken))

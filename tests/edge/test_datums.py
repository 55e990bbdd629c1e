"""A link with a datum: what devices send in GCJ-02 is WGS-84 before zones and rules look at it."""

import socket
from pathlib import Path

import pytest

from devices.datum import Datum
from devices.families import nmea
from devices.observation import Position
from edge import link_config
from edge.link_kinds import build
from edge.turns import Turns
from geofences.projection import distance
from tests.devices import frames
from tests.edge.site import until
from tests.edge.wired import behind

UNIT = frames.GOOD["nmea"][0]
IN_SHANGHAI = {"wgs84": (121.531542, 31.175304), "gcj02": (121.527211, 31.177428)}  # what the sentence means in each
RMC = frames.nmea("GPRMC,122950.00,A,3110.51824,N,12131.89252,E,0.0,0.0,251126,,,A", UNIT)


@pytest.mark.parametrize("datum", IN_SHANGHAI)
async def test_positions_are_converted_before_they_are_stored(tmp_path: Path, datum: Datum) -> None:
    async with behind(tmp_path) as made:
        wiring = made.wiring(nmea.Settings(), UNIT)
        config = link_config.UdpServer(name=wiring.name, family="nmea", port=0, datum=datum)
        link = build(config, wiring, nmea.FAMILY, Turns(), "gw")
        await link.open()
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unit:
                unit.sendto(RMC, ("127.0.0.1", link.port))
            await until(lambda: bool(made.rows("routine")), "the position is stored")
        finally:
            link.stop_reading()
            await link.close()
        (body,) = [row.body for row in made.rows("routine") if isinstance(row.body, Position)]
    assert distance((body.longitude, body.latitude), IN_SHANGHAI[datum]) < 0.5

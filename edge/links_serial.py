"""Serial lines for links of bytes. The only home of serialx."""

import asyncio
import logging
from collections.abc import Callable

import serialx

from edge.link_config import Serial
from edge.links_connection import Connection
from edge.links_dialled import Connect

PARITIES = {"none": serialx.Parity.NONE, "even": serialx.Parity.EVEN, "odd": serialx.Parity.ODD}
STOP_BITS = {1: serialx.StopBits.ONE, 2: serialx.StopBits.TWO}

logging.getLogger("serialx").setLevel(logging.CRITICAL)  # it would write down every byte of a person's device


class _Line(asyncio.Protocol):
    """serialx knows no buffers of ours: it hands bytes over."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.connection.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.connection.received(data)


def over_serial(config: Serial) -> Connect:
    async def connect(made: Callable[[], Connection]) -> Connection:
        line = _Line(made())
        try:
            await serialx.create_serial_connection(
                asyncio.get_running_loop(),
                lambda: line,
                config.path,
                config.baud,
                parity=PARITIES[config.parity],
                stopbits=STOP_BITS[config.stop_bits],
            )
        except serialx.SerialException as error:
            raise OSError(str(error)) from error
        return line.connection

    return connect

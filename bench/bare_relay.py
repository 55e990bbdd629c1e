"""The limit for the edge: the smallest program that moves observations without having to understand a device. It reads
them a line each, appends each as a row to SQLite (WAL, synchronous FULL), what came in GROUP_S in one transaction,
publishes them packed once they are durable, and deletes what the broker has.

`python -m bench.bare_relay BROKER_PORT FOLDER` prints its port as JSON. It answers nobody, locates nothing, recognises
no second delivery and believes the broker.
"""

import asyncio
import json
import sys
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import aiomqtt
import apsw

GROUP_S = 0.02
GROUP_ROWS_MAX = 20_000
TOPIC = "bench/relay"


class Disk:
    """One thread that commits groups, tells the loop which are durable, and forgets what was published."""

    def __init__(self, folder: Path, durable: "asyncio.Queue[list[bytes]]") -> None:
        self._sql = apsw.Connection(str(folder / "relay.sqlite"))
        self._durable = durable
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self.groups: SimpleQueue[list[bytes]] = SimpleQueue()
        self.published = 0
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "locking_mode=EXCLUSIVE"):
            self._sql.execute(f"PRAGMA {pragma}")
        self._sql.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, body BLOB)")
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            group = self.groups.get()
            rows = list(enumerate(group, self._number + 1))
            self._number += len(group)
            with self._sql:
                self._sql.executemany("INSERT INTO rows (number, body) VALUES (?, ?)", rows)
                self._sql.execute("DELETE FROM rows WHERE number <= ?", (self.published,))
            self._loop.call_soon_threadsafe(self._durable.put_nowait, group)


async def main(broker_port: int, folder: Path) -> None:
    waiting: list[bytes] = []
    durable: asyncio.Queue[list[bytes]] = asyncio.Queue()
    disk = Disk(folder, durable)
    server = await asyncio.start_server(lambda reader, _: _read(reader, waiting), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with aiomqtt.Client("127.0.0.1", broker_port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        print(json.dumps({"relay": port}), flush=True)
        sending = asyncio.ensure_future(_send(client, durable, disk))
        while not sending.done():
            await asyncio.sleep(GROUP_S)
            if waiting:
                disk.groups.put(waiting[:GROUP_ROWS_MAX])
                del waiting[:GROUP_ROWS_MAX]


async def _read(reader: asyncio.StreamReader, waiting: list[bytes]) -> None:
    try:
        while line := await reader.readline():
            waiting.append(line[:-1])
    except OSError:
        return


async def _send(client: aiomqtt.Client, durable: "asyncio.Queue[list[bytes]]", disk: Disk) -> None:
    while True:
        group = await durable.get()
        await client.publish(TOPIC, b"%d " % len(group) + b",".join(group), qos=1)
        disk.published += len(group)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))

"""A process that appends to a spool until it is killed, and writes down each row that it was told is durable.

`python -m tests.edge.appender FOLDER CONFIRMED`
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from edge.reports import Reports
from edge.spool import Spool
from edge.spool_file import SpoolFile
from edge.spool_sql import SpoolError
from tests.edge.site import BAND, GATEWAY, NOW, alarm, steps


async def main(folder: Path, confirmed: Path) -> None:
    reports = Reports(8)
    file = SpoolFile(folder, 1_000_000, 0, reports, GATEWAY)
    file.open(NOW)
    spool = Spool(file, reports, lambda: None)
    handle = os.open(confirmed, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(number: int, error: SpoolError | None) -> None:
        assert error is None
        os.write(handle, b"%d\n" % number)

    for number in itertools.count(1):
        row = alarm(BAND, "sos", str(number), frame_id=f"{number}.0") if number % 7 == 0 else steps(BAND, number)
        spool.append([row], lambda error, number=number: note(number, error))  # type: ignore[misc]
        await asyncio.sleep(0.0005)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))

"""What stands behind a link: intake, rules, siren and a real spool, for tests of links of any kind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from devices.observation import CommandAnswer, DeviceId, Observation
from edge import clock
from edge.actuators import Actuators
from edge.contacts import Contacts
from edge.flow import Wiring
from edge.intake import Intake
from edge.pipeline import view_of
from edge.spool import Spool
from tests.edge import site

ROWS_MAX = 2_000


class Behind:
    def __init__(self, folder: Path) -> None:
        config = site.config(folder)
        self.file = site.spool_file(folder / "state")
        self.spool = Spool(self.file, self.file._reports, lambda: None)
        self.siren = folder / "siren"
        self.answers: list[CommandAnswer] = []
        self._intake = Intake(
            gateway=DeviceId("gateway:gw"),
            view=view_of(config.devices),
            rules=config.rules,
            actuators=Actuators(config.actuators, lambda act, error: None),
            spool=self.spool,
            answered=self.answers.append,
            contacts=Contacts({}, (), clock.monotonic(), {}),
        )

    def wiring(self, settings: Struct, *enrolled: str) -> Wiring:
        return Wiring("under-test", settings, frozenset(enrolled), self._intake, ROWS_MAX)

    def disk_full(self, full: bool) -> None:
        site.fill(self.file, full)

    def rows(self, lane: Any = "urgent") -> list[Observation]:
        """Of devices; what the gateway says of itself left out."""
        return [row for _, row in site.held(self.file, lane) if not row.device.startswith("gateway:")]


@asynccontextmanager
async def behind(folder: Path) -> AsyncIterator[Behind]:
    made = Behind(folder)
    try:
        yield made
    finally:
        await made.spool.close()

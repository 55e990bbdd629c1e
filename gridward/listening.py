"""`gridward devices test`: listen on one link for a while, with everyone enrolled, and show what devices say.

The link is the edge's own, so what works here works there: the same cutting of frames, answers, TLS and logins. Devices
are answered as an edge answers them, and nothing is kept: an alarm that is given now reaches nobody.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from devices.families import FAMILIES
from devices.family import AnyFamily, Everyone
from devices.observation import Result
from edge import link_config
from edge.config import ConfigError, family_settings, load
from edge.flow import SWEEP_S, Link, LinkError, Wiring
from edge.link_kinds import build
from edge.spool_sql import SpoolError
from edge.turns import Turns
from gridward import clock
from gridward.decode import line_of

GATEWAY = "gridward-test"  # names us to brokers: an edge that runs keeps its own session there
ROWS_MAX = 1_000


class ListenError(Exception):
    """It cannot listen; the text is the one line to show."""


class Heard:
    """Takes what the link hears. `count` counts refused bytes, too."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.count = 0
        self._tell = tell

    def take(self, link: str, results: Sequence[Result], done: Callable[[SpoolError | None], None]) -> None:
        for result in results:
            self._tell(line_of(result))
        self.count += len(results)
        done(None)


async def listen(
    config: link_config.Link,
    time_zone: str,
    seconds: float,
    tell: Callable[[str], None],
    begun: Callable[[int], None],
) -> int:
    """Until `seconds` are over or a person ends it; how much was heard. `tell` gets each as a JSON text, `begun` the
    port. Raises ListenError."""
    heard, stopped = Heard(tell), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        link = _built(config, time_zone, heard)
        await link.open()
    except LinkError as error:
        raise ListenError(str(error)) from error
    try:
        begun(link.port)
        ends_at = clock.monotonic() + seconds
        while not stopped.is_set() and (left_s := ends_at - clock.monotonic()) > 0:
            await _wait(stopped, min(SWEEP_S, left_s))
            link.sweep()
    finally:
        link.stop_reading()
        await link.close()
    return heard.count


async def _wait(stopped: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopped.wait()


def _built(config: link_config.Link, time_zone: str, heard: Heard) -> Link:
    """Raises LinkError, ListenError."""
    family = _family(config.family)
    if link_config.kind_of(config) not in family.links:
        kinds = ", ".join(family.links)
        raise ListenError(f"{family.name} does not run on {link_config.kind_of(config)}; it does on {kinds}")
    try:
        settings = family_settings(config, family, time_zone)
    except (msgspec.ValidationError, ValueError) as error:
        raise ListenError(f"settings: {error}") from error
    return build(config, Wiring(config.name, settings, Everyone(), heard, ROWS_MAX), family, Turns(), GATEWAY)


def link_of_file(path: Path, name: str) -> tuple[link_config.Link, str]:
    """(link, time zone) of an edge's file; raises ListenError."""
    try:
        config = load(path, FAMILIES)
    except ConfigError as error:
        raise ListenError(str(error)) from error
    for link in config.links:
        if link.name != name:
            continue
        if isinstance(link, link_config.Folder):
            raise ListenError(f"{path}: {name} is a folder, whose files would be moved away; try one with decode")
        if isinstance(link, link_config.Mqtt):  # the edge's own session at the broker stays the edge's
            return msgspec.structs.replace(link, client_id=""), config.time_zone
        return link, config.time_zone
    raise ListenError(f"{path}: no link {name!r}; there are: {', '.join(link.name for link in config.links) or 'none'}")


def link_of(family: str, where: dict[str, Any], settings: str) -> link_config.Link:
    """A link of `family` with the keys `where`, its settings as TOML text; raises ListenError."""
    _family(family)
    try:
        keys = {"name": "test", "family": family, "settings": msgspec.toml.decode(settings), **where}
        link: link_config.Link = msgspec.convert(keys, link_config.Link)
    except msgspec.DecodeError as error:
        raise ListenError(str(error)) from error
    return link


def _family(name: str) -> AnyFamily:
    if name not in FAMILIES:
        raise ListenError(f"no family {name!r}; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]

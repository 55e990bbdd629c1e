"""`gridward edge --config FILE [--check]`: one edge agent until SIGTERM or Ctrl-C.

Exit codes: 0 stopped politely, or the file is good; 1 it could not start or go on; 2 the configuration is wrong. Each
time one line on stderr says why.
"""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import structlog

from devices.families import FAMILIES
from edge.agent import Secrets, StartError, running
from edge.config import Config, ConfigError, load, read_secret
from edge.descriptors import raise_limit, refusal
from edge.downlink import KeyUnusable, read_key
from edge.flow import LinkError
from edge.log import LogLines
from edge.notes import notes

log = structlog.get_logger()

SWITCH_S = 0.001  # how long the spool's thread may keep the interpreter from the one that drives the siren
EXAMPLE = "Example: python -m edge --config /etc/gridward/edge.toml --check"


def main(words: list[str], tell: Callable[[str], None]) -> int:
    parser = argparse.ArgumentParser(
        prog="gridward edge", description="Run one edge agent until SIGTERM or Ctrl-C.", epilog=EXAMPLE
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the edge's TOML file")
    parser.add_argument("--check", action="store_true", help="only check the file and what it names, then exit")
    options = parser.parse_args(words)
    try:
        config = load(options.config, FAMILIES)
        secrets = _secrets(options.config, config)
    except ConfigError as error:
        return _refuse(str(error), 2)
    if wrong := refusal(config, raise_limit()):
        return _refuse(f"{options.config}: {wrong}", 2)
    if options.check:
        for note in notes(config, FAMILIES):
            sys.stderr.write(f"note: {note}\n")
        tell(f"{options.config}: good")
        return 0
    sys.setswitchinterval(SWITCH_S)
    with LogLines() as lines:
        lines.begin()
        try:
            return asyncio.run(_run(config, secrets))
        except (StartError, LinkError) as error:
            return _refuse(f"{options.config}: {error}", 1)


def _secrets(path: Path, config: Config) -> Secrets:
    """Raises ConfigError."""
    password_file, key_file = config.broker.password_file, config.hub_public_key_file
    try:
        password = read_secret(Path(password_file)) if password_file else ""
    except ConfigError as error:
        raise ConfigError(f"{path}: broker.password_file: {error}") from error
    try:
        return Secrets(password, read_key(Path(key_file)) if key_file else None)
    except KeyUnusable as error:
        raise ConfigError(f"{path}: hub_public_key_file: {error}") from error


async def _run(config: Config, secrets: Secrets) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with running(config, secrets) as agent:
        gc.collect()
        gc.freeze()  # what is here stays; looking through it again would hold up an alarm by tens of milliseconds
        waits = [asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(agent.ended())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    if not stopped.is_set():
        log.critical("spool_ended")
        return 1
    log.info("stopped")
    return 0


def _refuse(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code

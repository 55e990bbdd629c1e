"""`python -m hub --config FILE [--check]`: run one hub until SIGTERM or SIGINT.

Exit codes: 0 stopped politely, 1 it cannot start or broke, 2 the configuration or the command line is wrong. Each
error is one line; a wrong configuration has a line for each mistake. Logs are JSON lines on stderr.
"""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import structlog
import typer

from hub import server, site
from hub.config import Config, ConfigError, dsn, first_password, load, read_secret

# Batches are many small objects without cycles: looking for cycles at Python's usual pace costs a third of decoding.
GC_THRESHOLD = (100_000, 50, 100)
# How long the event loop waits at most for a thread that decodes a batch.
SWITCH_S = 0.001

CONFIG_OPTION = typer.Option("--config", help="The hub's TOML file.", metavar="FILE", show_default=False)
CHECK_OPTION = typer.Option("--check", help="Check the configuration and every file that it names, then exit.")


def main(config: Annotated[Path, CONFIG_OPTION], check: Annotated[bool, CHECK_OPTION] = False) -> None:
    """Run the hub. Example: python -m hub --config hub.toml"""
    _log_lines()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    sys.setswitchinterval(SWITCH_S)
    try:
        held = load(config)
        if check:
            _check(held)
            print(f"{config}: good")
            return
        asyncio.run(server.run(held, _stop_on_signals))
    except ConfigError as error:
        _fail(str(error), 2)
    except server.StartError as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(f"{error.filename or 'hub'}: {' '.join((error.strerror or str(error)).split())}", 1)
    except Exception:
        structlog.get_logger().exception("hub_crashed")
        raise SystemExit(1) from None


def _check(config: Config) -> None:
    """Every file that the configuration names; raises ConfigError with what is wrong in any of them."""
    reads: list[Callable[[], object]] = [lambda: dsn(config), lambda: first_password(config)]
    if config.broker.password_file:
        reads.append(lambda: read_secret(Path(config.broker.password_file)))
    if config.site_file:
        reads.append(lambda: site.read(Path(config.site_file)))
    wrong = []
    for read in reads:
        try:
            read()
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def _fail(text: str, code: int) -> None:
    for line in text.splitlines():
        print(f"hub: {' '.join(line.split())}", file=sys.stderr)
    raise SystemExit(code)


def _log_lines() -> None:
    logging.basicConfig(level=logging.WARNING, handlers=[_FromLibraries()], force=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


class _FromLibraries(logging.Handler):
    """What a library says by itself comes out as a line like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, "library_said", library=record.name, text=record.getMessage(), exc_info=record.exc_info)


if __name__ == "__main__":
    typer.run(main)

"""The edge's log: JSON lines on stderr, written by a thread of its own, so that a reader that hangs delays nothing.

Rules
- Events are constant snake_case words with bound values; never faces, badge numbers, names of people or secrets.
- At most LINES_MAX lines wait. What comes on top is dropped, and a line says how many were.
- Libraries that log by themselves come out as lines of the same form (`library_said`).
"""

import logging
import sys
from collections import deque
from collections.abc import MutableMapping
from threading import Condition, Thread
from typing import Any, TextIO

import msgspec
import structlog

LINES_MAX = 5_000
FLUSH_S_MAX = 2.0
QUIET_LIBRARIES = ("pymodbus", "aiomqtt", "edge.mqtt.client", "bleak")  # what they would say, we say once


class LogLines:
    """Use as `with LogLines() as lines: lines.begin()`; on exit what waits is written, for FLUSH_S_MAX at most."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self._out = out
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._more = Condition()
        self._closing = False
        self._thread = Thread(target=self._run, name="log", daemon=True)

    def __enter__(self) -> "LogLines":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._more:
            self._closing = True
            self._more.notify()
        self._thread.join(FLUSH_S_MAX)

    def begin(self) -> None:
        """Everything that logs in this process comes here from now on."""
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
                structlog.processors.format_exc_info,
                _ordered,
            ],
            logger_factory=lambda *_: self,
            cache_logger_on_first_use=True,
        )
        logging.basicConfig(level=logging.WARNING, handlers=[_FromLibraries()], force=True)
        for name in QUIET_LIBRARIES:
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def msg(self, line: str) -> None:
        """Take one line; never waits for the reader."""
        with self._more:
            if len(self._lines) >= LINES_MAX:
                self._dropped += 1
                return
            self._lines.append(line)
            self._more.notify()

    debug = info = warning = error = critical = exception = log = msg

    def _run(self) -> None:
        while True:
            with self._more:
                while not self._lines and not self._closing:
                    self._more.wait()
                lines, self._lines = self._lines, deque()
                dropped, self._dropped = self._dropped, 0
                closing = self._closing
            if dropped:
                lines.append(f'{{"event":"log_lines_dropped","level":"warning","lines":{dropped}}}')
            try:
                self._out.write("".join(f"{line}\n" for line in lines))
                self._out.flush()
            except (OSError, ValueError):
                return  # nobody reads any more
            if closing:
                return


class _FromLibraries(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, "library_said", library=record.name, text=record.getMessage(), exc_info=record.exc_info)


def _ordered(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    """One JSON object, the telling keys first."""
    first = {key: event.pop(key) for key in ("at", "level", "event") if key in event}
    return msgspec.json.encode({**first, **event}, enc_hook=str).decode()

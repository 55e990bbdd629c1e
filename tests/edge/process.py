"""The agent as the process that an installer starts, for tests: its log as values, and its end."""

import asyncio
import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from tests.edge.site import until


class AgentProcess:
    """`async with AgentProcess(config) as agent`: started, its links listening."""

    def __init__(self, config: Path, *words: str, open_max: tuple[int, int] | None = None) -> None:
        """`open_max`: soft and hard limit of open files to start with."""
        self._limits = open_max
        self._words = ("-m", "edge", "--config", str(config), *words)
        self.lines: list[str] = []
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "AgentProcess":
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *self._words, stderr=pipe, stdout=pipe, preexec_fn=self._limit
        )
        self._reading = asyncio.create_task(self._read())
        await until(lambda: self.said("started") or self._process.returncode is not None, "started")  # type: ignore[union-attr]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    def _limit(self) -> None:
        if self._limits is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)

    def said(self, event: str) -> list[dict[str, Any]]:
        """What was logged under this name."""
        parsed = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [line for line in parsed if line["event"] == event]

    def port(self, link: str) -> int:
        port: int = self.said("started")[0]["links"][link]
        return port

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        assert self._process is not None
        code = await asyncio.wait_for(self._process.wait(), 15)
        await self._reading
        return code

    async def _read(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        async for line in self._process.stderr:
            self.lines.append(line.decode().rstrip("\n"))

"""Child processes that cannot outlive us.

Rules
- Every child gets its own session, so that Ctrl-C in the terminal reaches only us and we stop the children in order.
- Every child asks the kernel to be signalled when we die (PR_SET_PDEATHSIG): kill -9 of the parent leaves no orphan.
- Stopping is polite first (`stop_signal`), then SIGKILL of the whole group after a deadline.
- We signal only groups that we made and whose leader we have not yet reaped, so a reused process id is never hit.

The kernel ties the death signal to the thread that started the child: start children from the main thread only.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gridward import clock

PR_SET_PDEATHSIG = 1
STOP_S_MAX = 10.0
LOG_TAIL_LINES = 12
_libc = ctypes.CDLL(None, use_errno=True)


class ProcessError(Exception):
    """A child did not start, or ended when it should not have; the text says which, how, and the end of its log."""


class Child:
    """One running program of ours and the file that its output goes to."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path, stop_signal: signal.Signals) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._stop_signal = stop_signal

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Signal the child's whole group; nothing happens when it has ended."""
        if self.exit_code is None:
            os.killpg(self._process.pid, number)

    def stop(self, deadline_s: float = STOP_S_MAX) -> None:
        """Polite, then not; returns when the child is gone."""
        self.send(self._stop_signal)
        if not self.ended_within(deadline_s):
            self.send(signal.SIGKILL)
            self._process.wait()

    def ended_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def said(self) -> str:
        """The last lines of its log, for a message to the person at the terminal."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])

    def obituary(self) -> str:
        """One clear text about a child that ended."""
        code = self.exit_code
        how = "still runs" if code is None else f"was killed by {_signal_name(-code)}" if code < 0 else f"exited {code}"
        return f"{self.name} {how}; end of {self.log}:\n{self.said()}"


def start(
    name: str,
    argv: Sequence[str | Path],
    log: Path,
    *,
    user: int | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    stop_signal: signal.Signals = signal.SIGTERM,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Child:
    """Start `argv` with output appended to `log`; `user` is the uid and gid to become (only root may ask)."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user is not None else None,
                cwd=directory,
                env={**os.environ, **(environment or {})},
                preexec_fn=_die_with(os.getpid(), death_signal),  # noqa: PLW1509 - only syscalls, from the main thread
            )
        except OSError as error:
            raise ProcessError(f"cannot start {name} ({argv[0]}): {error.strerror}") from error
    return Child(name, process, log, stop_signal)


def wait_until(child: Child, ready: Callable[[], bool], deadline_s: float, poll_s: float = 0.05) -> None:
    """Return when `ready()`; raise ProcessError when the child ends first or the deadline passes."""
    give_up_at = clock.monotonic() + deadline_s
    while not ready():
        if child.exit_code is not None:
            raise ProcessError(child.obituary())
        if clock.monotonic() > give_up_at:
            raise ProcessError(f"{child.name} not ready after {deadline_s:.0f} s; end of {child.log}:\n{child.said()}")
        clock.pause(poll_s)


def stop_all(children: Sequence[Child], deadline_s: float = STOP_S_MAX) -> None:
    """Stop in the order given: whoever feeds others comes first."""
    for child in children:
        child.stop(deadline_s)


def _die_with(parent: int, number: signal.Signals) -> Callable[[], None]:
    # Runs in the child after it changed user: changing user clears the setting, so it must come last.
    def apply() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(1)

    return apply


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

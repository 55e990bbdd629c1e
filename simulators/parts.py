"""One process per family: the parent starts them, passes Ctrl-C on, and none outlives it.

Each child plays its family's devices of the same scenario and appends to the same ledger.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def play_parts(families: Sequence[str], words: Sequence[str]) -> int:
    """Start `python -m simulators --only FAMILY WORDS` for each; 0 when all ended well, else the first bad code."""
    parent = os.getpid()

    def die_with_us() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    children = [
        subprocess.Popen(
            [sys.executable, "-m", "simulators", "--only", family, *words],
            preexec_fn=die_with_us,  # noqa: PLW1509 - started before any thread
            start_new_session=True,
        )
        for family in families
    ]

    def pass_on(number: int, _: object) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    codes = [child.wait() for child in children]
    return next((abs(code) for code in codes if code), 0)

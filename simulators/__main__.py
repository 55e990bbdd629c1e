"""`python -m simulators`: see simulators/commands.py. What happens is told on stderr."""

import sys

from simulators.commands import run


def tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], tell))

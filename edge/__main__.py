"""`python -m edge --config FILE [--check]`: see edge/command.py."""

import sys


def main() -> int:
    # structlog imports rich when it can: 5 MB for colours that a JSON log never has.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    from edge import command  # noqa: PLC0415 - after the line above

    return command.main(sys.argv[1:], print)


if __name__ == "__main__":
    sys.exit(main())

"""SQL by name: every statement of the hub stands in a file hub/queries*.sql under a line `-- name --`.

The Python side calls a query by that name and no query is assembled from strings. A name that is given twice, or a
statement without a name, stops the start.
"""

import re
from pathlib import Path

_HEADER = re.compile(r"^-- ([a-z][a-z0-9_]*) --$", re.MULTILINE)


def load() -> dict[str, str]:
    """Name -> SQL of all queries*.sql files beside this module."""
    found: dict[str, str] = {}
    for file in sorted(Path(__file__).parent.glob("queries*.sql")):
        for name, text in parse(file.read_text()).items():
            if name in found:
                raise ValueError(f"{file.name}: {name} is there already")
            found[name] = text
    return found


def parse(text: str) -> dict[str, str]:
    """Name -> SQL of one file; what stands before the first name must be comment."""
    head, *pieces = _HEADER.split(text)
    if any(line and not line.startswith("--") for line in map(str.strip, head.splitlines())):
        raise ValueError("a statement stands before the first name")
    names = pieces[0::2]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"given twice: {sorted(repeated)}")
    return {name: body.strip().rstrip(";") for name, body in zip(names, pieces[1::2], strict=True)}

"""Runs decoders against the shared vectors: `python -m tests.vectors SET FILE…`. Every key of `expect` is compared.

A set is a module tests/vector_sets/NAME.py with

    SAMPLES: path of its own file in the shared vectors
    decode(line) -> dict      what our decoder makes of one line, in the vectors' words
    UNSUPPORTED: {id: reason} lines that are not read on purpose, at most UNSUPPORTED_SHARE_MAX of the file
    OPTIONAL: keys of `expect` that the set's description calls an optional goal
    CONTRADICTED: {id: (reason, keys)} keys of single lines in which the vector contradicts its protocol

Each of the three may be left out. A key of `expect` that our decoder does not give is a difference, whatever its name;
a CONTRADICTED key that does not differ is one, too. Extra keys in the result are fine; numbers are compared with 1e-6
relative tolerance; `note` is a remark, not a value.
"""

import importlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parent.parent.parent / "shared" / "vectors"
UNSUPPORTED_SHARE_MAX = 0.02
TOLERANCE = 1e-6


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def differences(expected: Any, found: Any, where: str = "") -> Iterator[str]:
    """Where `found` lacks or contradicts `expected`."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            if key == "note":
                continue
            yield from differences(value, found.get(key, "<missing>"), f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, f"{where}[{index}]")
    elif not _equal(expected, found):
        yield f"{where}: expected {expected!r}, found {found!r}"


def _equal(expected: Any, found: Any) -> bool:
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return math.isclose(expected, found, rel_tol=TOLERANCE)
    return bool(expected == found)


def failures(module: Any, lines: list[dict[str, Any]]) -> Iterator[str]:
    """One text for each line of the set that our decoder reads otherwise than expected."""
    for line in lines:
        if line["id"] in getattr(module, "UNSUPPORTED", {}):
            continue
        left_out = set(getattr(module, "OPTIONAL", ()))
        _, contradicted = getattr(module, "CONTRADICTED", {}).get(line["id"], ("", ()))
        found = module.decode(line)
        wrong = list(differences({key: line["expect"][key] for key in line["expect"] if key not in left_out}, found))
        wrong = [text for text in wrong if not text.startswith(tuple(f".{key}:" for key in contradicted))]
        wrong += [f".{key} is as expected" for key in contradicted if not _differs(line["expect"], found, key)]
        if wrong:
            yield f"{line['id']} {'; '.join(wrong)}"


def _differs(expected: dict[str, Any], found: dict[str, Any], key: str) -> bool:
    return any(differences(expected[key], found.get(key)))


def main(words: list[str]) -> int:
    name, *files = words
    module = importlib.import_module(f"tests.vector_sets.{name}")
    lines = [line for file in files or [module.SAMPLES] for line in lines_of(Path(file))]
    wrong = list(failures(module, lines))
    for text in wrong:
        print(text)
    unsupported = getattr(module, "UNSUPPORTED", {})
    skipped = [line["id"] for line in lines if line["id"] in unsupported]
    for given_id in skipped:
        print(f"{given_id} left out: {unsupported[given_id]}")
    for given_id, (reason, keys) in getattr(module, "CONTRADICTED", {}).items():
        print(f"{given_id} without {', '.join(keys)}: {reason}")
    print(f"{name}: {len(lines) - len(wrong) - len(skipped)} of {len(lines)} lines as expected")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs decoders against vectors: `python -m tests.vectors SET [FILE …]`. Every key of `expect` is compared; without a
file, those of the shared vectors.

A set is a module tests/vector_sets/NAME.py with

    SAMPLES: path of its own file in the shared vectors
    decode(line) -> dict    what our decoder makes of one line, in the vectors' words
    UNSUPPORTED: {key: reason}    keys that are not compared, where there are any: "vendor" on every line, with all
        below it, or "watch-008 reply" on one line. At most UNSUPPORTED_SHARE_MAX of all keys of the file.

A key is one value, wherever it stands in `expect`; `note` is a remark, not a key. A key that our decoder does not give
is a mismatch, whatever its name, and so is an exception. A key that is unsupported on one line and yet matches is a
mismatch, too: the reason is gone. Extra keys in the result are fine; numbers are compared with 1e-6 relative tolerance.
The exit code is 1 when a key does not match, or too many are unsupported.
"""

import importlib
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SHARED = Path(__file__).parent.parent.parent / "shared" / "vectors"
UNSUPPORTED_SHARE_MAX = 0.02
TOLERANCE = 1e-6


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def differences(expected: Any, found: Any, where: str = "") -> Iterator[str]:
    """Where `found` lacks or contradicts `expected`: one text for each key."""
    if isinstance(expected, dict) and expected:
        held = found if isinstance(found, dict) else {}
        for key, value in expected.items():
            if key != "note":
                yield from differences(value, held.get(key, "<missing>"), f"{where}.{key}")
    elif isinstance(expected, list) and expected:
        items = found if isinstance(found, list) else []
        for index, value in enumerate(expected):
            yield from differences(value, items[index] if index < len(items) else "<missing>", f"{where}[{index}]")
        if len(items) > len(expected):
            yield f"{where}: {len(expected)} items expected, found {len(items)}"
    elif not _equal(expected, found):
        yield f"{where}: expected {expected!r}, found {found!r}"


def _equal(expected: Any, found: Any) -> bool:
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return math.isclose(expected, found, rel_tol=TOLERANCE)
    return bool(expected == found)


class Outcome(NamedTuple):
    """How many keys; `mismatched`: a text each, beginning with the line's id."""

    compared: int
    matched: int
    mismatched: list[str]
    unsupported: Counter[tuple[str, str]]  # (line's id, reason) -> keys

    @property
    def too_much_left_out(self) -> bool:
        return self.unsupported.total() > UNSUPPORTED_SHARE_MAX * self.compared


def compare(module: Any, lines: list[dict[str, Any]]) -> Outcome:
    given: dict[str, str] = getattr(module, "UNSUPPORTED", {})
    compared, mismatched, unsupported = 0, [], Counter[tuple[str, str]]()
    for line in lines:
        keys = count(line["expect"])
        compared += keys
        expected, left_out = {}, {}
        for key, value in line["expect"].items():
            reason = given.get(key) or given.get(f"{line['id']} {key}")
            (left_out if reason else expected)[key] = value
            if reason and key != "note":
                unsupported[line["id"], reason] += count(value)
        found, error = _decoded(module, line)
        wrong = [error] * bool(error) or list(differences(expected, found))
        wrong += [
            f".{key} matches: take it out of UNSUPPORTED"
            for key in left_out
            if f"{line['id']} {key}" in given and not any(differences(left_out[key], found.get(key)))
        ]
        mismatched += [f"{line['id']} {text}" for text in wrong]
    matched = compared - unsupported.total() - len(mismatched)
    return Outcome(compared, matched, mismatched, unsupported)


def _decoded(module: Any, line: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """(what the decoder says, "") or ({}, the bug that it has)."""
    try:
        return module.decode(line), ""
    except Exception as error:  # whatever it is, the other lines are still of interest
        return {}, f"{type(error).__name__}: {error}"


def count(expected: Any) -> int:
    """The keys in it: its values that are no containers, and empty containers."""
    if isinstance(expected, dict) and expected:
        return sum(count(value) for key, value in expected.items() if key != "note")
    if isinstance(expected, list) and expected:
        return sum(map(count, expected))
    return 1


def main(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        print("usage: python -m tests.vectors SET [FILE …]   for example: python -m tests.vectors gbt26875 mine.jsonl")
        return 2
    name, *files = words
    module = importlib.import_module(f"tests.vector_sets.{name}")
    lines = [line for file in files or [module.SAMPLES] for line in lines_of(Path(file))]
    outcome = compare(module, lines)
    for text in outcome.mismatched:
        print(f"mismatched   {text}")
    for (given_id, reason), keys in outcome.unsupported.items():
        print(f"unsupported  {given_id}: {keys} keys: {reason}")
    left_out = outcome.unsupported.total()
    print(
        f"{name}: {len(lines)} lines, {outcome.compared} keys compared, {outcome.matched} matched, "
        f"{len(outcome.mismatched)} mismatched, {left_out} unsupported ({left_out / max(outcome.compared, 1):.1%})"
    )
    return bool(outcome.mismatched or outcome.too_much_left_out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

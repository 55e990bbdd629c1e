"""docs/performance.md and its picture, made from bench/results.json; a whole run of the benchmarks writes them again.

`python -m bench.page` does so without measuring anything.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.fences.picture import picture

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results.json"
PAGE, PICTURE = ROOT / "docs" / "performance.md", ROOT / "docs" / "images" / "geofences.svg"
HEAD = """\
# Performance

Generated from `bench/results.json` by a whole run of `make bench`. Do not edit.

A number alone says more of the machine than of the program, so most stand beside a limit or another program that was
measured in the same run, and the ratio is what to read. `python -m bench --quick NAME` measures one again.
"""
FENCES = "geofence"
FENCES_WORDS = f"""
![Fixes a second by engine, and the cost of a fix as fences grow in number](images/{PICTURE.name})

Each fix is asked which fences its mover entered, left and is inside of: 20 × 20 km round Wuzhen; areas, areas with
holes, corridors and large zones that overlap; 5,000 walkers and vehicles, heard every five seconds; all on one core. An
engine counts only when its events are ours, fix by fix. In the *same square* a fix is inside of more fences the more
there are; in the *growing square* it is not, so there a fix should cost the same however many fences there are.
"""


def write(document: dict[str, Any]) -> None:
    PAGE.write_text(text(document))
    if fences := measured(document, FENCES):
        PICTURE.write_text(picture(fences))


def text(document: dict[str, Any]) -> str:
    lines = [HEAD, f"{document['at']}, {document['machine']}, Python {document['python']}.\n"]
    if document["quick"]:
        lines.append("A quick run: rougher numbers.\n")
    for name in document["benchmarks"]:
        lines.append(f"## {name}")
        if found := measured(document, name):
            lines += [FENCES_WORDS if name == FENCES else "", *_table(found)]
        else:
            lines.append("\nDid not run.\n")
    return "\n".join(lines)


def measured(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The results of a benchmark; none when it did not run."""
    found = document["benchmarks"].get(name)
    return found if isinstance(found, list) else []


def _table(results: list[dict[str, Any]]) -> Iterator[str]:
    yield "| measured | value | beside | ratio | goal | |"
    yield "|---|---|---|---|---|---|"
    marks = {True: "met", False: "**missed**", None: ""}
    for result in results:
        name = result["name"] + (f"<br><sub>{result['note']}</sub>" if result["note"] else "")
        beside = f"{result['limit_name']} {_number(result['limit'])}" if result["limit"] else ""
        ratio = f"{result['ratio']:.2f}×" if result["ratio"] is not None else ""
        value = f"{_number(result['value'])} {result['unit']}"
        yield f"| {name} | {value} | {beside} | {ratio} | {result['goal']} | {marks[result['met']]} |"
    yield ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    write(msgspec.json.decode(RESULTS.read_bytes()))

"""The picture of the geofence benchmark, an SVG drawn by hand: bars of the engines, and the curve to 100,000 fences."""

from collections.abc import Callable, Iterator
from html import escape
from math import log10
from typing import Any

from bench.fences.rows import C_KERNEL, OURS, SHAPELY

WIDTH, HEIGHT = 960, 400
TOP, BOTTOM = 60, 340
BARS_LEFT, BARS_RIGHT = 150, 460
CURVE_LEFT, CURVE_RIGHT = 560, 800
OURS_COLOUR, OTHER_COLOUR = "#0b6e99", "#9aa5ad"
STYLE = "text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-weight:600;font-size:14px}.s{fill:#57606a}"
STYLE += ".g{stroke:#d8dee4}.l{fill:none;stroke-width:2}"
SIZES = (1_000, 10_000)

Result = dict[str, Any]
Scale = Callable[[float], float]


def picture(results: list[Result]) -> str:
    parts = [*_bars(results), *_curve(results)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>Geofences: engines and growth</title><style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _bars(results: list[Result]) -> Iterator[str]:
    """Fixes a second of each engine, for both numbers of fences."""
    rates = {fences: _rates(results, fences) for fences in SIZES}
    names = sorted(rates[SIZES[0]], key=lambda name: -rates[SIZES[0]][name])
    across = _scale((3.5, 7.3), BARS_LEFT, BARS_RIGHT)
    yield _text(20, 24, "Fixes a second, one core", "t")
    yield _text(20, 42, "upper bar: 1,000 fences, lower bar: 10,000; logarithmic", "s")
    yield from _grid_across(across, range(4, 8), TOP, BOTTOM)
    for at, name in enumerate(names):
        y = TOP + 8 + at * (BOTTOM - TOP) / len(names)
        yield _text(BARS_LEFT - 8, y + 17, name, "", "end")
        for row, fences in enumerate(SIZES):
            if rate := rates[fences].get(name):
                colour = OURS_COLOUR if name == OURS else OTHER_COLOUR
                width = across(log10(rate)) - BARS_LEFT
                top = y + 14 * row
                yield f'<rect x="{BARS_LEFT}" y="{top:.1f}" width="{width:.1f}" height="11" fill="{colour}"/>'
                yield _text(BARS_LEFT + width + 4, top + 10, _short(rate), "s")


def _curve(results: list[Result]) -> Iterator[str]:
    """Microseconds a fix against the number of fences; whole lines: same square, dashed: growing."""
    across, up = _scale((3, 5), CURVE_LEFT, CURVE_RIGHT), _scale((-1, 2), BOTTOM, TOP)
    yield _text(CURVE_LEFT - 40, 24, "Microseconds a fix, by the number of fences", "t")
    yield _text(CURVE_LEFT - 40, 42, "whole: same square; dashed: square grows with the fences", "s")
    yield from _grid_across(across, range(3, 6), TOP, BOTTOM)
    for power in range(-1, 3):
        y = up(power)
        yield f'<line class="g" x1="{CURVE_LEFT}" x2="{CURVE_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(CURVE_LEFT - 8, y + 4, f"{10.0**power:g}", "s", "end")
    for square, dashes in (("same square", ""), ("growing square", ' stroke-dasharray="5 4"')):
        for name, colour in ((OURS, OURS_COLOUR), (SHAPELY, "#b35900"), (C_KERNEL, OTHER_COLOUR)):
            points = [(across(log10(fences)), up(log10(us))) for fences, us in _costs(results, square, name)]
            if not points:
                continue
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            yield f'<polyline class="l" stroke="{colour}" points="{line}"{dashes}/>'
            if not dashes:
                yield _text(points[-1][0] + 6, points[-1][1] + 4, name, "")


def _rates(results: list[Result], fences: int) -> dict[str, float]:
    start = f"{fences:,} fences: "
    return {
        result["name"].removeprefix(start): result["value"]
        for result in results
        if result["name"].startswith(start) and result["unit"] == "fixes/s" and result["value"]
    }


def _costs(results: list[Result], square: str, engine: str) -> list[tuple[float, float]]:
    """(fences, microseconds a fix)."""
    start, end = f"{square}, ", f" fences: {engine}"
    return [
        (float(result["name"].removeprefix(start).removesuffix(end).replace(",", "")), 1e6 / result["value"])
        for result in results
        if result["name"].startswith(start) and result["name"].endswith(end)
    ]


def _scale(powers: tuple[float, float], start: float, end: float) -> Scale:
    low, high = powers
    return lambda power: start + (power - low) / (high - low) * (end - start)


def _grid_across(across: Scale, powers: range, top: float, bottom: float) -> Iterator[str]:
    for power in powers:
        x = across(power)
        yield f'<line class="g" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
        yield _text(x, bottom + 18, _short(10.0**power), "s", "middle")


def _short(number: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'

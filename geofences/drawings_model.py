"""What the readers of drawings hand on and what the checks say: drawings, problems with their place, limits."""

import re
from collections import Counter
from collections.abc import Sequence
from math import inf, isfinite, nan
from typing import Any, Literal, TypeAlias

from msgspec import Struct

FILE_BYTES_MAX = 64 * 1024 * 1024
FILE_POSITIONS_MAX = 1_000_000
READ_POSITIONS_MAX = 2 * FILE_POSITIONS_MAX  # up to here the features that are too many are named
FEATURES_MAX = 100_000
DEPTH_MAX = 32  # of JSON lists and objects, XML elements and WKT brackets
OF_ONE_CODE_MAX = 5
TEXT_MAX = 200  # characters of a name or of a piece of the file in a problem

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: dict[str, Severity] = {
    "not_a_feature": "error",
    "crs": "error",  # the file says that it is not WGS-84
    "empty": "error",
    "unsupported": "error",
    "nesting": "error",
    "too_many": "error",
    "too_few": "error",
    "not_a_number": "error",
    "out_of_range": "error",
    "swapped": "error",
    "unclosed": "error",
    "antimeridian": "error",
    "pole": "error",
    "zero_area": "error",
    "self_intersection": "error",
    "hole_outside": "error",
    "holes_overlap": "error",
    "polygons_overlap": "error",
    "invalid": "error",  # GEOS' words
    "size": "error",  # width_m of a line, radius_m of a point: none, or impossible
    "duplicate_vertices": "warning",
    "sliver": "warning",
    "touches_pole": "warning",
    "crosses_antimeridian": "warning",
    "given_twice": "warning",
    "id_twice": "warning",
    "far": "warning",
    "datum": "warning",
    "altitude": "note",
}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
NO_NUMBERS = {"nan": nan, "inf": inf, "infinity": inf, "-inf": -inf, "-infinity": -inf}


class DrawingError(ValueError):
    """A file that cannot be read at all; the text says where and why."""


class Place(Struct, frozen=True):
    """Counted from 0, as the drawing's lists are. Only what is known and what there is: a line has no rings."""

    polygon: int | None = None
    ring: int | None = None
    line: int | None = None
    position: int | None = None
    longitude: float | None = None
    latitude: float | None = None

    def __str__(self) -> str:
        counted = {"polygon": self.polygon, "ring": self.ring, "line": self.line, "position": self.position}
        words = ", ".join(f"{name} {number}" for name, number in counted.items() if number is not None)
        if self.longitude is None or self.latitude is None:
            return words
        return f"{words} ({shown(self.longitude)}, {shown(self.latitude)})".strip()


class Problem(Struct, frozen=True):
    """`code` is a key of SEVERITIES."""

    code: str
    text: str
    place: Place | None = None

    @property
    def severity(self) -> Severity:
        return SEVERITIES[self.code]

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class Problems:
    """Those of one drawing; of each code the first few are kept, the rest are counted."""

    def __init__(self) -> None:
        self._found: list[Problem] = []
        self._counts: Counter[str] = Counter()

    def add(self, code: str, text: str, place: Place | None = None) -> None:
        self._counts[code] += 1
        if self._counts[code] <= OF_ONE_CODE_MAX:
            self._found.append(Problem(code, text, place))

    def __contains__(self, code: str) -> bool:
        return code in self._counts

    @property
    def refused(self) -> bool:
        return any(SEVERITIES[code] == "error" for code in self._counts)

    def listed(self) -> tuple[Problem, ...]:
        more = {code: count - OF_ONE_CODE_MAX for code, count in self._counts.items() if count > OF_ONE_CODE_MAX}
        return (*self._found, *(Problem(code, f"and {count} more like this") for code, count in more.items()))


class Drawing(Struct, frozen=True):
    """A feature, or a part of one (same index). `kind` and `coordinates` are a GeoJSON geometry's, unchecked."""

    index: int
    name: str
    kind: str = ""
    coordinates: Any = None
    properties: dict[str, Any] = {}
    id: str = ""
    problems: tuple[Problem, ...] = ()  # that the reader found


def shown(value: Any) -> str:
    """For a person: seven digits after the point are a centimetre; a number too long for that, or no number, is cut."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.7f}".rstrip("0").rstrip(".") if isfinite(value) and abs(value) < 1e7 else f"{float(value):.4g}"
    return cut(repr(value), 40)


def cut(text: str, most: int = TEXT_MAX) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def number(text: str) -> float | str:
    """The number that a text of KML or WKT writes; the text itself when it writes none."""
    if NUMBER.fullmatch(text):
        return float(text)
    return NO_NUMBERS.get(text.lower(), cut(text, 40))


def is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)

"""Well-known text (OGC 06-103r4) into drawings: one geometry a line, or `name;geometry`.

Rules
- POINT, LINESTRING, POLYGON, their MULTI kinds and GEOMETRYCOLLECTION (one drawing a part), Z kept as altitude, M left
  out. `SRID=4326;` before a geometry is accepted, another SRID is not WGS-84.
- Blank lines and lines that begin with # are skipped. A line that cannot be read is a drawing with a problem.
- Text has no properties: widths of lines and radii of points have to be given beside the file.
"""

import re
from collections.abc import Iterator
from typing import Any

from geofences.drawings_model import (
    DEPTH_MAX,
    FEATURES_MAX,
    READ_POSITIONS_MAX,
    Drawing,
    DrawingError,
    Problem,
    cut,
    number,
)

TOKEN = re.compile(r"\s*([(),]|[^\s(),]+)")
KINDS = {
    "POINT": ("Point", 0),
    "LINESTRING": ("LineString", 1),
    "POLYGON": ("Polygon", 2),
    "MULTIPOINT": ("MultiPoint", 1),
    "MULTILINESTRING": ("MultiLineString", 2),
    "MULTIPOLYGON": ("MultiPolygon", 3),
}
COLLECTION = "GEOMETRYCOLLECTION"
NUMBERS_MAX = 4  # x y z m


class _WktError(ValueError):
    """What is wrong in one line."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def read_wkt(text: str) -> list[Drawing]:
    """Raises DrawingError."""
    if text.count("(") + text.count(",") > READ_POSITIONS_MAX:
        raise DrawingError(f"more than {READ_POSITIONS_MAX} positions")
    found: list[Drawing] = []
    lines = (line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#"))
    for index, line in enumerate(lines):
        found += _drawings(line, index)
        if len(found) > FEATURES_MAX:
            raise DrawingError(f"more than {FEATURES_MAX} features")
    return found


def _drawings(line: str, index: int) -> list[Drawing]:
    *names, wkt = line.split(";")
    srid = [name for name in names if name.upper().startswith("SRID=")]
    name = cut(";".join(name for name in names if name not in srid).strip())
    try:
        if srid and srid != ["SRID=4326"]:
            raise _WktError("crs", f"{cut(srid[0], 40)} is not WGS-84: convert the file")
        parts = list(_parts(_Tokens(wkt)))
    except _WktError as error:
        return [Drawing(index, name, problems=(Problem(error.code, str(error)),))]
    labels = [name] if len(parts) == 1 else [f"{name}/{part}" for part in range(len(parts))]
    return [Drawing(index, labels[at], kind, numbers) for at, (kind, numbers) in enumerate(parts)]


class _Tokens:
    """Words, brackets and commas of a line, read one after the other."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._next = text, 0, ""
        self.take()

    def peek(self) -> str:
        """The next one, "" at the end."""
        return self._next

    def take(self) -> str:
        taken = self._next
        match = TOKEN.match(self._text, self._at)
        self._next, self._at = (match[1], match.end()) if match else ("", len(self._text))
        return taken

    def expect(self, *wanted: str) -> str:
        got = self.take()
        if got not in wanted:
            raise _WktError("nesting", f"expected {' or '.join(wanted)}, got {cut(got, 40)!r}")
        return got


def _parts(tokens: _Tokens) -> Iterator[tuple[str, Any]]:
    yield from _geometry(tokens, 0)
    if rest := tokens.peek():
        raise _WktError("nesting", f"expected the end of the line, got {cut(rest, 40)!r}")


def _geometry(tokens: _Tokens, depth: int) -> Iterator[tuple[str, Any]]:
    """(kind, coordinates) of a geometry, or of each one in a collection."""
    word = tokens.take().upper()
    has_m = False
    if (more := tokens.peek().upper()) in ("Z", "M", "ZM"):
        has_m = more == "M"
        tokens.take()
    if tokens.peek().upper() == "EMPTY":
        raise _WktError("empty", f"{cut(word, 40)} EMPTY")
    if word == COLLECTION and depth < DEPTH_MAX:
        tokens.expect("(")
        yield from _geometry(tokens, depth + 1)
        while tokens.expect(",", ")") == ",":
            yield from _geometry(tokens, depth + 1)
    elif word == "CIRCLE":
        raise _WktError("unsupported", "CIRCLE is no WKT: draw a POINT and give the radius beside the file")
    elif word in KINDS:
        kind, levels = KINDS[word]
        yield kind, _bracket(tokens, levels, has_m) if levels else _alone(tokens, has_m)
    else:
        raise _WktError("unsupported", f"geometry {cut(word, 40)!r}: expected one of {', '.join((*KINDS, COLLECTION))}")


def _bracket(tokens: _Tokens, levels: int, has_m: bool) -> list[Any]:
    """A list of what stands in brackets, `levels` deep; a MULTIPOINT's positions may stand in brackets of their own."""
    tokens.expect("(")
    found: list[Any] = []
    while True:
        if levels > 1:
            found.append(_bracket(tokens, levels - 1, has_m))
        elif tokens.peek() == "(":
            found.append(_alone(tokens, has_m))
        else:
            found.append(_position(tokens, has_m))
        if tokens.expect(",", ")") == ")":
            return found


def _alone(tokens: _Tokens, has_m: bool) -> list[float | str]:
    tokens.expect("(")
    found = _position(tokens, has_m)
    tokens.expect(")")
    return found


def _position(tokens: _Tokens, has_m: bool) -> list[float | str]:
    found: list[float | str] = []
    while tokens.peek() not in ("(", ")", ",", "") and len(found) < NUMBERS_MAX:
        found.append(number(tokens.take()))
    return found[:2] if has_m else found[:3]

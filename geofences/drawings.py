"""Drawn files (GeoJSON, KML, WKT) into zones: a verdict for each feature that names the vertex. Pure.

Rules
- Nothing broken becomes a zone: a feature with one error is refused, and says where. A warning leaves the choice to the
  person, a note is only told. `drawings_model.SEVERITIES` lists all there is.
- Nothing is mended unless it is asked for (`repair`), and then all that was done is told. Which way a ring runs has no
  meaning here and is not a mistake, nor is a position that stands twice.
- A line becomes a corridor by its `width_m`, a point a circle by its `radius_m`: a property of the feature, or given
  beside the file. Two names of others are read because their makers document them: `polylineDistance` (Traccar: metres
  to either side of a line) and `radius` of a point whose `subType` is `Circle` (Azure Maps: metres).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import accumulate
from math import nan
from typing import Any, Literal

from msgspec import Struct

from geofences.buffers import BufferError, Rings, circle, corridor, joined
from geofences.drawings_geojson import read_geojson
from geofences.drawings_kml import read_kml
from geofences.drawings_model import (
    FILE_BYTES_MAX,
    FILE_POSITIONS_MAX,
    Drawing,
    DrawingError,
    Problem,
    Problems,
    number,
)
from geofences.drawings_repair import Repair, repaired
from geofences.drawings_setting import Reference, check_swapped, fingerprint, middle_of, place_among
from geofences.drawings_shape import Shape, positions_in, shape_of
from geofences.drawings_topology import check_area
from geofences.drawings_wkt import read_wkt
from geofences.projection import Position

Converter = Callable[[Position], Position]


class Setting(Struct, frozen=True, kw_only=True):
    """What is known beside the file. `near`: a place of the site; `reference`: areas of it; `datums`: name -> function
    to WGS-84, tried where a drawing does not fit the reference; `width_m`, `radius_m`: for features without their own.
    """

    near: Position | None = None
    reference: Reference | None = None
    datums: Mapping[str, Converter] = {}
    width_m: float | None = None
    radius_m: float | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """`zone`: the GeoJSON Polygon or MultiPolygon to load, None when it is refused. `drawn`: the geometry as read or
    mended, before lines and points were given their width. Lines come with `width_m`, points with `radius_m`."""

    index: int
    name: str
    id: str
    kind: str
    problems: tuple[Problem, ...]
    properties: dict[str, Any]
    zone: dict[str, Any] | None
    drawn: dict[str, Any] | None
    width_m: float | None = None
    radius_m: float | None = None
    repair: Repair | None = None

    @property
    def verdict(self) -> Literal["ok", "warned", "refused"]:
        if self.zone is None:
            return "refused"
        return "warned" if any(problem.severity == "warning" for problem in self.problems) else "ok"


def read(data: bytes) -> list[Drawing]:
    """The features of a file; its first sign tells what it is. Raises DrawingError."""
    if len(data) > FILE_BYTES_MAX:
        raise DrawingError(f"more than {FILE_BYTES_MAX // 2**20} MiB")
    if data.startswith(b"PK"):
        raise DrawingError("a zip file: unpack the KMZ and give the KML in it")
    start = data[:1000].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
        return read_kml(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DrawingError(f"not UTF-8: byte {error.start}") from None
    found = read_geojson(text) if start.startswith((b"{", b"[")) else read_wkt(text)
    if not found:
        raise DrawingError("no features")
    return found


def check(drawings: Sequence[Drawing], setting: Setting, repair: bool = False) -> list[Verdict]:
    """One verdict each, in their order."""
    totals = accumulate(positions_in(drawing.coordinates) for drawing in drawings)
    looks = [_Look(drawing, total) for drawing, total in zip(drawings, totals, strict=True)]
    if setting.near is None:
        others = [middle_of(look.shape) for look in looks if look.shape and look.shape.positions]
        beside = setting.reference.middle if setting.reference else place_among(others)
    else:
        beside = setting.near
    seen: dict[Hashable, int] = {}
    verdicts = []
    for look in looks:
        look.check(setting, beside)
        mended = look.mended(setting, beside) if repair else look
        mended.check_seen(seen)
        verdicts.append(mended.verdict())
    return verdicts


class _Look:
    """One drawing while it is checked."""

    def __init__(self, drawing: Drawing, total: int = 0, repair: Repair | None = None) -> None:
        self._drawing, self._repair = drawing, repair
        self._problems = Problems()
        for problem in drawing.problems:
            self._problems.add(problem.code, problem.text, problem.place)
        if total > FILE_POSITIONS_MAX:
            self._problems.add("too_many", f"the file has more than {FILE_POSITIONS_MAX:,} vertices up to here")
        self.shape = None if self._problems.refused else shape_of(drawing, self._problems)
        self._zone: list[Rings] = []
        self._size: float | None = None

    def check(self, setting: Setting, beside: Position | None) -> None:
        if self.shape is None or self._problems.refused:
            return
        if beside is not None:
            known = setting.near is not None or setting.reference is not None
            check_swapped(self.shape, beside, known, self._problems)
        if setting.reference is not None:
            setting.reference.check(self.shape, setting.datums, self._problems)
        if self.shape.kind == "area":
            check_area(self.shape, self._problems)
            self._zone = [[chain.positions for chain in rings] for rings in self.shape.polygons]
        else:
            self._widen(self.shape, setting)

    def _widen(self, shape: Shape, setting: Setting) -> None:
        """A zone of lines or points."""
        what, key, default = ("line", "width_m", setting.width_m)
        if shape.kind == "point":
            what, key, default = ("point", "radius_m", setting.radius_m)
        self._size = _size_of(shape, self._drawing.properties) or default
        if self._size is None:
            self._problems.add("size", f"a {what} needs its {key}: a property of the feature, or given beside the file")
            return
        places = [[(x, y) for x, y, *_ in chain.positions] for chain in shape.chains]
        try:
            if shape.kind == "line":
                parts = [corridor(line, self._size) for line in places]
            else:
                parts = [circle(place, self._size) for points in places for place in points]
        except BufferError as error:
            self._problems.add("size", str(error))
        else:
            self._zone = parts[0] if len(parts) == 1 else joined(parts)

    def mended(self, setting: Setting, beside: Position | None) -> "_Look":
        """What a repair makes of it, checked; itself when there is nothing to mend."""
        needed = self._problems.refused or "duplicate_vertices" in self._problems
        if self.shape is None or not self.shape.positions or not needed:
            return self
        drawing, repair = repaired(self._drawing, self.shape, "swapped" in self._problems)
        if not repair.done:
            return self
        after = _Look(drawing, repair=repair)
        after.check(setting, beside)
        return after

    def check_seen(self, seen: dict[Hashable, int]) -> None:
        """The same shape, or the same id, in an earlier feature."""
        index, own_id = self._drawing.index, self._drawing.id
        if self.shape is None or self._problems.refused:
            return
        first = seen.setdefault(("shape", fingerprint(self.shape), self._size), index)
        if first != index:
            self._problems.add("given_twice", f"the same shape as feature {first}")
        first = seen.setdefault(("id", own_id), index)
        if own_id and first != index:
            self._problems.add("id_twice", f"feature {first} has the id {own_id!r} too")

    def verdict(self) -> Verdict:
        drawing, shape, refused = self._drawing, self.shape, self._problems.refused
        size = None if refused else self._size
        return Verdict(
            index=drawing.index,
            name=drawing.name,
            id=drawing.id,
            kind=drawing.kind,
            problems=self._problems.listed(),
            properties=drawing.properties,
            zone=None if refused else _geometry(self._zone),
            drawn=None if refused else {"type": drawing.kind, "coordinates": drawing.coordinates},
            width_m=size if shape and shape.kind == "line" else None,
            radius_m=size if shape and shape.kind == "point" else None,
            repair=self._repair,
        )


def _geometry(polygons: Sequence[Rings]) -> dict[str, Any]:
    listed = [[[list(position) for position in ring] for ring in rings] for rings in polygons]
    if len(listed) == 1:
        return {"type": "Polygon", "coordinates": listed[0]}
    return {"type": "MultiPolygon", "coordinates": listed}


def _size_of(shape: Shape, properties: Mapping[str, Any]) -> float | None:
    """Width of a line or radius of a point by its properties, in metres; NaN when it is no number, None without one."""
    if shape.kind == "line":
        sides = _metres(properties.get("polylineDistance"))
        return _metres(properties.get("width_m")) or (sides and 2 * sides)
    circle_radius = properties.get("radius") if properties.get("subType") == "Circle" else None
    return _metres(properties.get("radius_m")) or _metres(circle_radius)


def _metres(value: Any) -> float | None:
    """KML has only texts."""
    if value in (None, ""):
        return None
    found = number(value.strip()) if isinstance(value, str) else value
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else nan

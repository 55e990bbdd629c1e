"""KML 2.2 into drawings: the Placemarks of a document, wherever they stand in its folders.

Rules
- XML is hardened: no document type, no entities, bounded in bytes, depth and elements. Namespaces are not looked at.
- Of a Placemark: name, id, ExtendedData (Data and SchemaData) and description, and its Polygon, LineString, LinearRing
  (a line that closes) or Point. A MultiGeometry of one kind is one drawing, of several kinds one drawing a part.
- A tuple is `longitude,latitude[,altitude]` without blanks. What is no number is kept as text for the check to name.
"""

from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from msgspec import Struct, field

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

ELEMENTS_MAX = 2_000_000
DESCRIPTION_MAX = 10_000
GEOMETRIES = ("Polygon", "LineString", "LinearRing", "Point", "MultiGeometry")
STRANGERS = ("Model", "Track", "MultiTrack")
MANY = {"Polygon": "MultiPolygon", "LineString": "MultiLineString", "Point": "MultiPoint"}


class _Element(Struct):
    name: str
    id: str = ""
    key: str = ""  # the attribute `name`
    texts: list[str] = field(default_factory=list)
    children: list["_Element"] = field(default_factory=list)

    def said(self, name: str) -> str:
        """The text of the child of that name."""
        return next(("".join(child.texts).strip() for child in self.children if child.name == name), "")

    def every(self, *names: str) -> "Iterator[_Element]":
        return (child for child in self.children if child.name in names)


class _Reader:
    """Keeps the elements of Placemarks only, so that styles and folders cost nothing."""

    def __init__(self) -> None:
        self.found: list[Drawing] = []
        self._open: list[_Element] = []
        self._count = 0
        self._positions = 0
        self._placemark = 0  # depth of the open one
        self._placemarks = 0

    def refuse(self, *_: object) -> None:
        raise DrawingError("XML with a document type or entities is refused")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= DEPTH_MAX or self._count > ELEMENTS_MAX:
            raise DrawingError(f"XML nests deeper than {DEPTH_MAX} or has more than {ELEMENTS_MAX} elements")
        local = name.rpartition(" ")[2]
        element = _Element(local, attributes.get("id", ""), attributes.get("name", ""))
        if self._placemark:
            self._open[-1].children.append(element)
        self._open.append(element)
        if local == "Placemark" and not self._placemark:
            self._placemark = len(self._open)

    def characters(self, text: str) -> None:
        if not self._placemark:
            return
        self._open[-1].texts.append(text)
        self._positions += len(text.split()) if self._open[-1].name == "coordinates" else 0
        if self._positions > READ_POSITIONS_MAX:
            raise DrawingError(f"more than {READ_POSITIONS_MAX} positions")

    def end(self, _: str) -> None:
        element = self._open.pop()
        if self._placemark == len(self._open) + 1:
            self._placemark = 0
            self.found += _drawings(element, self._placemarks)
            self._placemarks += 1
            if len(self.found) > FEATURES_MAX:
                raise DrawingError(f"more than {FEATURES_MAX} features")


def read_kml(data: bytes) -> list[Drawing]:
    """Raises DrawingError."""
    reader = _Reader()
    try:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = reader.refuse
        parser.StartElementHandler = reader.start
        parser.EndElementHandler = reader.end
        parser.CharacterDataHandler = reader.characters
        parser.Parse(data, True)
    except DrawingError:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two: encodings that Python does not have
        raise DrawingError(f"not XML: {error}") from None
    return reader.found


def _drawings(placemark: _Element, index: int) -> list[Drawing]:
    properties = dict(_extended(placemark))
    if description := placemark.said("description"):
        properties.setdefault("description", cut(description, DESCRIPTION_MAX))
    own_id = cut(placemark.id)
    name = cut(placemark.said("name")) or own_id
    parts = [part for geometry in placemark.every(*GEOMETRIES, *STRANGERS) for part in _parts(geometry)]
    if len(parts) > 1 and len({kind for kind, _, _ in parts}) == 1 and parts[0][0] in MANY:
        parts = [(MANY[parts[0][0]], [coordinates for _, coordinates, _ in parts], ())]
    if not parts:
        parts = [("", None, (Problem("empty", "has no geometry"),))]
    names = [name] if len(parts) == 1 else [f"{name}/{part}" for part in range(len(parts))]
    return [
        Drawing(index, names[at], kind, coordinates, properties, own_id, problems)
        for at, (kind, coordinates, problems) in enumerate(parts)
    ]


def _extended(placemark: _Element) -> Iterator[tuple[str, str]]:
    for extended in placemark.every("ExtendedData"):
        for data in extended.every("Data"):
            yield cut(data.key), cut(data.said("value"), DESCRIPTION_MAX)
        for schema in extended.every("SchemaData"):
            yield from ((cut(one.key), cut("".join(one.texts), DESCRIPTION_MAX)) for one in schema.every("SimpleData"))


def _parts(geometry: _Element) -> Iterator[tuple[str, Any, tuple[Problem, ...]]]:
    """(kind, coordinates, problems) of a geometry, or of each one in a MultiGeometry."""
    if geometry.name == "MultiGeometry":
        for inner in geometry.every(*GEOMETRIES, *STRANGERS):
            yield from _parts(inner)
    elif geometry.name == "Polygon":
        rims = [*geometry.every("outerBoundaryIs"), *geometry.every("innerBoundaryIs")]
        yield "Polygon", [_tuples(ring) for rim in rims for ring in rim.every("LinearRing")], ()
    elif geometry.name == "Point":
        found = _tuples(geometry)
        yield "Point", found[0] if len(found) == 1 else found, ()
    elif geometry.name in STRANGERS:
        yield "", None, (Problem("unsupported", f"{geometry.name}: expected one of {', '.join(GEOMETRIES)}"),)
    else:
        yield "LineString", _tuples(geometry), ()


def _tuples(element: _Element) -> list[list[float | str]]:
    return [[number(one) for one in position.split(",")] for position in element.said("coordinates").split()]

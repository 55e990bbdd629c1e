"""Fixes out of files: CSV, GPX or GeoJSON tracks. What cannot be read is one line that says where.

Rules
- CSV has a header: `at` (or `time`: seconds since 1970, or ISO 8601 with its offset), `longitude` and `latitude` (or
  `lon`, `lat`); `track` (or `device`), `accuracy_m`, `level`, `altitude_m`, `speed_m_s` where they are known.
- GPX: points of tracks with their time and elevation; each track is one. Points without a time are left out.
- GeoJSON: Point features with `time` and `track` in their properties, or LineString features with `coordTimes` (also
  under `coordinateProperties`), one time a position.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.parsers import expat

import msgspec

from geofences.step import NotAFix, checked
from geofences.track import Fix

FILE_BYTES_MAX = 512 * 1024 * 1024
OTHER_NAMES = {"time": "at", "lon": "longitude", "lng": "longitude", "lat": "latitude", "device": "track"}
NUMBERS = ("longitude", "latitude", "accuracy_m", "altitude_m", "speed_m_s")

Read = Iterator[tuple[str, Fix]]


class FixesError(Exception):
    """A file of fixes that cannot be read; the text is the one line to show."""


def read(path: Path) -> Read:
    """(track, fix) in the order of the file. Raises FixesError."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise FixesError(f"{path}: more than {FILE_BYTES_MAX // 2**20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise FixesError(f"{path}: {error.strerror}") from error
    readers: dict[str, Callable[[bytes], Read]] = {".csv": _csv, ".gpx": _gpx, ".geojson": _geojson, ".json": _geojson}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise FixesError(f"{path}: expected a file that ends in {', '.join(readers)}")
    number = 0
    try:
        for found in reader(data):
            yield found
            number += 1
    except (NotAFix, ValueError, KeyError, csv.Error, expat.ExpatError, msgspec.MsgspecError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FixesError(f"{path}: fix {number + 1}: {said}") from error
    if not number:
        raise FixesError(f"{path}: no fixes with a time")


def _csv(data: bytes) -> Read:
    for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig"))):
        named = {OTHER_NAMES.get(name.strip(), name.strip()): value for name, value in row.items() if name and value}
        yield named.get("track", ""), _fix(named)


def _gpx(data: bytes) -> Read:
    """expat: a document type, and with it every entity, is refused."""
    found: list[tuple[str, Fix]] = []
    track, here, text = 0, dict[str, str](), list[str]()

    def refuse(*_: object) -> None:
        raise ValueError("XML with a document type is refused")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal track, here
        text.clear()
        track += name == "trk"
        if name == "trkpt":
            here = {"longitude": attributes["lon"], "latitude": attributes["lat"]}

    def end(name: str) -> None:
        if name in ("time", "ele", "speed"):
            here[{"time": "at", "ele": "altitude_m", "speed": "speed_m_s"}[name]] = "".join(text).strip()
        if name == "trkpt" and "at" in here:
            found.append((f"track {track}", _fix(here)))

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text.append
    parser.Parse(data, True)
    return iter(found)


def _geojson(data: bytes) -> Read:
    document = msgspec.json.decode(data)
    features = document.get("features", [document]) if isinstance(document, dict) else []
    for at, feature in enumerate(features):
        known: Mapping[str, Any] = feature.get("properties") or {}
        geometry: Mapping[str, Any] = feature.get("geometry") or {}
        name = str(known.get("track") or known.get("name") or feature.get("id") or f"track {at + 1}")
        if geometry.get("type") == "Point":
            longitude, latitude = geometry["coordinates"][:2]
            named = {OTHER_NAMES.get(key, key): value for key, value in known.items()}
            yield name, _fix({**named, "longitude": longitude, "latitude": latitude})
        elif geometry.get("type") == "LineString":
            times = known.get("coordTimes") or (known.get("coordinateProperties") or {})["times"]
            for (longitude, latitude, *_), time in zip(geometry["coordinates"], times, strict=True):
                yield name, _fix({"at": time, "longitude": longitude, "latitude": latitude})


def _fix(named: Mapping[str, Any]) -> Fix:
    found = {key: float(named[key]) for key in NUMBERS if named.get(key) not in (None, "")}
    level = named.get("level")
    return checked(
        Fix(
            at=_seconds(named["at"]),
            longitude=found["longitude"],
            latitude=found["latitude"],
            accuracy_m=found.get("accuracy_m", 0.0),
            level=None if level in (None, "") else int(level),
            altitude_m=found.get("altitude_m"),
            speed_m_s=found.get("speed_m_s"),
        )
    )


def _seconds(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError(f"time {value}: without its offset from UTC (such as +08:00 or Z)")
    return time.timestamp()

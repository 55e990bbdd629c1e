"""Drawings are judged and tracks replayed from the command line, and each mistake is one line."""

import json
from pathlib import Path
from typing import Any

import prcoords
import pytest

from geofences.projection import distance
from tests.gridward.test_cli import gridward
from tests.vectors import SHARED

TRACKS = SHARED.parent / "data" / "gps_tracks"
HALL = [[120.0, 30.0], [120.002, 30.0], [120.002, 30.002], [120.0, 30.002], [120.0, 30.0]]


def feature(ring: list[list[float]], **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def written(path: Path, *features: dict[str, Any]) -> str:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(path)


def test_check_names_what_is_broken_and_refuses(tmp_path: Path) -> None:
    open_ring = feature(HALL[:-1], name="yard")
    zones = written(tmp_path / "zones.geojson", feature(HALL, name="hall"), open_ring)
    said = gridward("fence", "check", zones)
    assert said.returncode == 1
    assert "0 hall" in said.stdout and "1 yard" in said.stdout and "refused" in said.stdout
    lines = [json.loads(line) for line in gridward("fence", "check", zones, "--json").stdout.splitlines()]
    assert [line["verdict"] for line in lines] == ["ok", "refused"]
    assert lines[1]["problems"][0]["code"] == "unclosed"
    mended = tmp_path / "mended.geojson"
    repaired = gridward("fence", "check", zones, "--repair", str(mended))
    assert repaired.returncode == 0, repaired.stdout
    assert "mended: " in repaired.stdout
    assert gridward("fence", "check", str(mended)).returncode == 0


def test_a_drawing_in_gcj02_is_found_by_a_reference_and_converted(tmp_path: Path) -> None:
    right = written(tmp_path / "right.geojson", feature(HALL, name="hall"))
    shifted = [list(lon_lat(prcoords.wgs_gcj((y, x)))) for x, y in HALL]
    drawn, out = written(tmp_path / "amap.geojson", feature(shifted, name="hall")), tmp_path / "wgs84.geojson"
    alone = gridward("fence", "check", drawn, "--json")
    assert json.loads(alone.stdout)["verdict"] == "ok"
    found = json.loads(gridward("fence", "check", drawn, "--reference", right, "--json").stdout)
    assert (found["verdict"], found["problems"][0]["code"]) == ("warned", "datum")
    assert "m when it is read as gcj02" in found["problems"][0]["text"]
    said = gridward("fence", "check", drawn, "--datum", "gcj02", "--reference", right, "--repair", str(out), "--json")
    assert json.loads(said.stdout)["verdict"] == "ok"
    (ring,) = json.loads(out.read_text())["features"][0]["geometry"]["coordinates"]
    assert all(distance(tuple(one), tuple(other)) < 0.01 for one, other in zip(ring, HALL, strict=True))


def lon_lat(place: prcoords.Coords) -> tuple[float, float]:
    return place.lon, place.lat


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "nowhere.geojson"), "nowhere.geojson: No such file"),
        (("check", "x.geojson", "--near", "north"), "--near north: expected longitude,latitude"),
        (("replay", "--zones", "nowhere.kml", "--fixes", "x.csv"), "nowhere.kml: No such file"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], said: str) -> None:
    found = gridward("fence", *words)
    assert found.returncode == 2
    assert found.stderr.startswith("gridward: ") and said in found.stderr and found.stderr.count("\n") == 1


def test_replay_tells_what_an_edge_would(tmp_path: Path) -> None:
    zones = written(tmp_path / "zones.geojson", feature(HALL, name="hall", rules={"overstayed_s": 60}))
    fixes = tmp_path / "walk.csv"
    fixes.write_text(
        "device,time,lon,lat,accuracy_m\n"
        "band,2026-07-06T12:00:00+08:00,119.999,30.001,5\n"
        "band,2026-07-06T12:01:40+08:00,120.001,30.001,5\n"
        "band,2026-07-06T12:03:20+08:00,120.003,30.001,5\n"
    )
    said = gridward("fence", "replay", "--zones", zones, "--fixes", str(fixes))
    assert said.returncode == 0, said.stderr
    events = [json.loads(line) for line in said.stdout.splitlines()]
    assert [(event["track"], event["kind"], event["zone"]) for event in events] == [
        ("band", "entered", "hall"),
        ("band", "overstayed", "hall"),
        ("band", "exited", "hall"),
    ]
    summary = gridward("fence", "replay", "--zones", zones, "--fixes", str(fixes), "--summary")
    assert "1 tracks, 3 events" in summary.stdout and "overstayed" in summary.stdout


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "time,lon,lat\n2026-07-06T12:00:00,120,30\n", "fix 1: time 2026-07-06T12:00:00: without its offset"),
        ("a.csv", "time,lon,lat\n0,120,30\n1,x,30\n", "fix 2: could not convert"),
        ("a.csv", "time,lon\n0,120\n", "fix 1: 'latitude' is missing"),
        ("a.csv", "time,lon,lat\n", "no fixes with a time"),
        ("a.gpx", "<!DOCTYPE gpx><gpx/>", "XML with a document type is refused"),
        ("a.txt", "", "expected a file that ends in .csv, .gpx, .geojson, .json"),
    ],
)
def test_fixes_that_cannot_be_read(tmp_path: Path, name: str, text: str, said: str) -> None:
    zones = written(tmp_path / "zones.geojson", feature(HALL, name="hall"))
    (tmp_path / name).write_text(text)
    found = gridward("fence", "replay", "--zones", zones, "--fixes", str(tmp_path / name))
    assert found.returncode == 2 and said in found.stderr


def test_zones_that_cannot_be_obeyed(tmp_path: Path) -> None:
    zones = written(tmp_path / "zones.geojson", feature(HALL, name="hall", rules={"dwell_s": 3}))
    found = gridward("fence", "replay", "--zones", zones, "--fixes", "x.csv")
    assert found.returncode == 2 and "0 hall: Object contains unknown field `dwell_s`" in found.stderr


@pytest.mark.skipif(not TRACKS.exists(), reason="the shared recordings are not here")
def test_a_recorded_walk_is_replayed(tmp_path: Path) -> None:
    """Half of the walk's box as a zone: it is entered and left in turns."""
    ring = [[14.0, 45.3], [14.1, 45.3], [14.1, 45.5], [14.0, 45.5], [14.0, 45.3]]
    zones = written(tmp_path / "zones.geojson", feature(ring, name="west"))
    said = gridward("fence", "replay", "--zones", zones, "--fixes", str(TRACKS / "korita-zbevnica.gpx"))
    assert said.returncode == 0, said.stderr
    moves: dict[str, list[str]] = {}
    for event in map(json.loads, said.stdout.splitlines()):
        if event["kind"] in ("entered", "exited"):
            moves.setdefault(event["track"], []).append(event["kind"])
    assert moves
    for kinds in moves.values():
        assert kinds == [("entered", "exited")[at % 2] for at in range(len(kinds))]


def test_replay_tells_what_several_tracks_come_to(tmp_path: Path) -> None:
    zones = tmp_path / "zones.geojson"
    meeting = {"id": "meeting", "one": ["band:*"], "other": ["unit:*"], "metres": 50}
    features = [feature(HALL, name="hall", rules={"count_max": 1})]
    zones.write_text(json.dumps({"type": "FeatureCollection", "features": features, "proximity": [meeting]}))
    fixes = tmp_path / "walks.csv"
    rows = ["at,track,longitude,latitude", "0,unit:1,120.001,30.001", "10,band:a,120.01,30.001"]
    rows += ["20,band:a,120.0012,30.001", "30,band:a,120.01,30.001"]
    fixes.write_text("\n".join(rows))
    said = gridward("fence", "replay", "--zones", str(zones), "--fixes", str(fixes))
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    told = [(line["track"], line["kind"], line["zone"], line["other"]) for line in lines]
    assert told == [
        ("unit:1", "entered", "hall", ""),
        ("band:a", "entered", "hall", ""),
        ("band:a", "too_many", "hall", ""),
        ("band:a", "met", "meeting", "unit:1"),
        ("band:a", "exited", "hall", ""),
        ("band:a", "separated", "meeting", "unit:1"),
    ], said.stderr
    zones.write_text(json.dumps({"type": "FeatureCollection", "features": features, "proximity": [{"id": "x"}]}))
    refused = gridward("fence", "replay", "--zones", str(zones), "--fixes", str(fixes))
    assert refused.returncode == 2 and "proximity[0]" in refused.stderr


def test_a_line_string_with_times_is_a_track(tmp_path: Path) -> None:
    line = {
        "type": "Feature",
        "properties": {"name": "cart", "coordTimes": ["2026-07-06T12:00:00Z", "2026-07-06T12:02:00Z"]},
        "geometry": {"type": "LineString", "coordinates": [[119.999, 30.001], [120.001, 30.001]]},
    }
    zones, fixes = written(tmp_path / "z.geojson", feature(HALL, name="hall")), written(tmp_path / "f.geojson", line)
    said = gridward("fence", "replay", "--zones", zones, "--fixes", fixes)
    assert [json.loads(row)["track"] for row in said.stdout.splitlines()] == ["cart"]


def test_an_outline_becomes_a_grid_and_a_grid_is_checked(tmp_path: Path) -> None:
    outline, out = written(tmp_path / "hall.geojson", feature(HALL, name="hall")), tmp_path / "grid.geojson"
    made = gridward("fence", "grid", outline, "--parts", "3", "--parts", "2", "--out", str(out))
    assert made.returncode == 0, made.stderr
    features = json.loads(out.read_text())["features"]
    assert [one["id"] for one in features[:3]] == ["1", "1-1", "1-1-1"] and len(features) == 1 + 3 + 6
    assert features[2]["properties"]["parent"] == "1-1"
    right = gridward("fence", "grid", str(out), "--check")
    assert right.returncode == 0 and "10 cells" in right.stdout
    written(out, *[one for one in features if one["id"] != "1-2-1"])
    wrong = gridward("fence", "grid", str(out), "--check")
    assert wrong.returncode == 1 and "1-2: a gap between its cells at 120.0" in wrong.stdout


def test_streets_cut_a_grid(tmp_path: Path) -> None:
    street = {"type": "LineString", "coordinates": [[119.9, 30.001], [120.1, 30.001]]}
    streets = written(tmp_path / "cut.geojson", {"type": "Feature", "properties": {"level": 2}, "geometry": street})
    outline = written(tmp_path / "hall.geojson", feature(HALL, name="hall"))
    made = gridward("fence", "grid", outline, "--cut", streets, "--parts", "1", "--parts", "2")
    assert [one["properties"]["level"] for one in json.loads(made.stdout)["features"]].count(2) == 2
    assert gridward("fence", "grid", streets).returncode == 2
    assert gridward("fence", "grid", outline, "--cut", outline).returncode == 2

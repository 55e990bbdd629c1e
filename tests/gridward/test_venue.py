"""The demo's site: its zones are what is drawn, and its devices stand where it says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from geofences.zones import zone
from gridward import demo, venue, venue_zones
from gridward.venue import Servers, Venue
from hub import site
from simulators import place, scenario

ZONES_MAX, VERTICES_MAX = 100, 5_000


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Venue:
    servers = Servers(dsn="postgresql://", broker_host="127.0.0.1", broker_port=1883, console_port=8000)
    return venue.write(tmp_path_factory.mktemp("venue"), servers, demo.default_scenario())


@pytest.fixture(scope="module")
def found(written: Venue) -> site.SiteFile:
    return site.read(written.directory / "site.toml")


def test_the_site_is_the_town(found: site.SiteFile) -> None:
    assert len(found.zones) <= ZONES_MAX
    corners = [ring for drawn in found.zones for ring in drawn.shape["coordinates"]]
    assert sum(map(len, corners)) <= VERTICES_MAX
    purposes = [drawn.purpose for drawn in found.zones]
    assert purposes.count("ring") == 3 and purposes.count("region") == 1 and purposes.count("gate") == 5
    assert set(purposes) == {"ring", "region", "water", "street", "building", "gate", "parking"}


def test_every_device_stands_in_the_zone_it_names(found: site.SiteFile) -> None:
    shapes = {drawn.id: zone(drawn.id, drawn.shape) for drawn in found.zones}
    placed = [device for device in found.devices if device.zone]
    assert len(placed) >= 7
    for device in placed:
        assert device.longitude is not None and device.latitude is not None
        assert shapes[device.zone].holds(device.longitude, device.latitude), device.id


def test_every_device_is_named_in_both_languages(found: site.SiteFile) -> None:
    assert all(device.name and device.name_zh for device in found.devices)
    assert len({device.name for device in found.devices}) == len({device.name_zh for device in found.devices})


def test_what_moves_starts_where_the_site_says_and_in_a_street_or_building(found: site.SiteFile) -> None:
    town = place.streets(venue_zones.PLACE)
    at = {device.id: device for device in found.devices}
    moving = [spec for spec in scenario.load(demo.default_scenario()).devices if "streets" in spec.settings]
    assert {spec.family for spec in moving} == {"watch", "jt808"}
    for spec in moving:
        longitude, latitude = spec.settings["longitude"], spec.settings["latitude"]
        device = at[spec.device]
        assert (device.longitude, device.latitude) == (longitude, latitude)
        assert device.floor == spec.settings.get("floor", "")
        house = town.building_at(longitude, latitude)
        if device.floor:
            assert house is not None and house.id == device.zone and device.floor in house.floors
        else:
            point = town.metres(longitude, latitude)
            edge, on_it = town.nearest(point, wheels=spec.family == "jt808")
            assert edge is not None and max(abs(point[0] - on_it[0]), abs(point[1] - on_it[1])) < 6, spec.device


def test_a_fixed_device_in_a_building_has_one_of_its_floors(found: site.SiteFile) -> None:
    town = place.streets(venue_zones.PLACE)
    for device in found.devices:
        house = next((house for house in town.buildings if house.id == device.zone), None)
        assert house is None or device.floor in house.floors, device.id


def streets(found: site.SiteFile) -> Iterator[tuple[str, site.Zone]]:
    yield from ((drawn.id, drawn) for drawn in found.zones if drawn.purpose == "street")


def test_a_street_is_a_strip_as_wide_as_it_is_drawn(found: site.SiteFile) -> None:
    strips = dict(streets(found))
    for line in place.features(venue_zones.PLACE, "streets"):
        if "name_en" not in line.properties:
            continue
        strip = zone(line.properties["id"], strips.pop(line.properties["id"]).shape)
        assert all(strip.holds(*position) for position in line.geometry["coordinates"][1:-1])
    assert strips == {}


def test_a_device_without_a_name_stands_in_the_core(tmp_path: Path, found: site.SiteFile) -> None:
    given = tmp_path / "scenario.toml"
    given.write_text('duration_s = 1\ndevices = [{ family = "gbt26875", id = "7", port = 0 }]\n')
    servers = Servers(dsn="postgresql://", broker_host="127.0.0.1", broker_port=1883, console_port=8000)
    written = venue.write(tmp_path, servers, given)
    (device,) = site.read(written.directory / "site.toml").devices
    core = next(drawn for drawn in found.zones if drawn.id == "core")
    assert device.zone == "core" and zone("core", core.shape).holds(device.longitude or 0, device.latitude or 0)

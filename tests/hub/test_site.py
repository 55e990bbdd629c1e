"""The site file: what it says stands in the database; what is wrong in it is said in one line."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devices.documents import verify_document
from edge.downlink import read_zones
from geofences.cells import Cells
from geofences.plan import Plan
from geofences.zones import zone
from hub import site
from hub.config import ConfigError
from hub.documents import ZONES, Documents
from hub.migrations import migrate
from hub.store import Store
from tests.hub.api_world import NOON
from tests.hub.edge_line import SITE

MORE = """
[[gateways]]
id = "gw-1"

[[devices]]
id = "gbt26875:889"
name = "Panel"
name_zh = "主机"
kind = "panel"
zone = "hall"
gateway = "gw-1"
longitude = 120.4836
latitude = 30.7436
floor = "1F"
"""
SHAPE_END = SITE.strip().splitlines()[-1] + "\n"
CORRIDOR = "[zones.rules.corridor]\nline = [[120.0, 30.0], [120.0, 30.0]]\n"
MOVING = '[[moving_zones]]\nid = "hall"\ncarriers = ["tetra:1"]\nradius_m = 50\n'
TEMPLATE = Path(__file__).parents[2] / "gridward" / "templates" / "site.toml"


def read(tmp_path: Path, text: str) -> site.SiteFile:
    path = tmp_path / "site.toml"
    path.write_text(text)
    return site.read(path)


def test_the_demo_site_is_fine() -> None:
    found = site.read(TEMPLATE)
    assert found.site.id == "wuzhen" and found.zones == ()  # drawn elsewhere: tests/gridward/test_venue.py


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[site]", "[site", "not TOML"),
        ('id = "s"', 'id = "S p"', "site.id"),
        ('name_zh = "站"', "", "name_zh"),
        ('name_zh = "站"', 'name_zh = ""', "site.name_zh"),
        ('name_zh = "站"', 'name_zh = "站"\ncolour = "red"', "colour"),
        ("Asia/Shanghai", "Asia/Atlantis", "site.time_zone: Asia/Atlantis"),
        ("Asia/Shanghai", "../../etc/passwd", "site.time_zone"),
        ("longitude = 120.48\n", "longitude = 200\n", "site.longitude"),
        ('purpose = "building"', 'purpose = "building"\nring = -1', "ring"),
        ('type = "Polygon"', 'type = "Point"', "zone hall: shape.type"),
        ("[120.49, 30.75], [120.48, 30.74]]]", "[120.49, 30.75]]]", "zone hall"),
        ("[120.49, 30.74], [120.49, 30.75]", "[120.49, 30.75], [120.49, 30.75]", "zone hall"),
        ("[120.49, 30.74]", "[nan, 30.74]", "zone hall"),
        (SHAPE_END, SHAPE_END + "[zones.rules]\nspeed_max = 5\n", "zones[0].rules.speed_max"),
        (SHAPE_END, SHAPE_END + "[zones.rules]\nspeed_max_kmh = -5\n", "zones[0].rules.speed_max_kmh"),
        (SHAPE_END, SHAPE_END + "[zones.rules]\naltitude_m = [5, 1]\n", "zone hall: rules.altitude_m"),
        (SHAPE_END, SHAPE_END + "[zones.rules]\naltitude_m = [0, inf]\n", "zone hall: rules.altitude_m"),
        (SHAPE_END, SHAPE_END + '[zones.rules]\nparent = "nowhere"\n', "zone hall: rules.parent: nowhere"),
        (SHAPE_END, SHAPE_END + '[zones.rules]\nparent = "hall"\n', "zone hall: rules.parent"),
        (SHAPE_END, SHAPE_END + CORRIDOR, "zone hall: rules.corridor.line"),
        (SHAPE_END, SHAPE_END + MOVING, "hall is given twice"),
        (SHAPE_END, SHAPE_END + MOVING.replace("50", "0"), "moving_zones[0].radius_m"),
        (SHAPE_END, SHAPE_END + '[zones.rules.schedule]\ntime_zone = "A/B"\n', "zone hall: rules.schedule.time_zone"),
        ('id = "gbt26875:889"', 'id = "889"', "devices"),
        ('zone = "hall"\ngateway', 'zone = "halls"\ngateway', "there is no zone halls"),
        ('gateway = "gw-1"', 'gateway = "gw-2"', "there is no gateway gw-2"),
        ("latitude = 30.7436", "", "longitude and latitude"),
        ("[[devices]]", '[[gateways]]\nid = "gw-1"\n[[devices]]', "gateways: gw-1 is given twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, old: str, new: str, why: str) -> None:
    text = SITE + MORE
    assert old in text
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text.replace(old, new, 1))
    assert why in str(refused.value) and str(tmp_path / "site.toml") in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_device_that_is_given_twice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="devices: gbt26875:889 is given twice"):
        read(tmp_path, SITE + MORE + MORE.split("\n\n")[1])


def test_every_mistake_of_a_file_is_told(tmp_path: Path) -> None:
    text = (SITE + MORE).replace('zone = "hall"\ngateway', 'zone = "halls"\ngateway').replace("latitude = 30.7436", "")
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text.replace("Asia/Shanghai", "Asia/Wuzhen"))
    said = str(refused.value)
    assert "Asia/Wuzhen is not a time zone" in said and "no zone halls" in said and "latitude" in said


def cell(name: str, west: float, east: float, parent: str = "") -> str:
    ring = [[west, 30.0], [east, 30.0], [east, 30.1], [west, 30.1], [west, 30.0]]
    return f"""
[[zones]]
id = "{name}"
name_zh = "网格"
name_en = "Cell"
purpose = "grid"
shape = {{ type = "Polygon", coordinates = [{ring}] }}
rules = {{ parent = "{parent}", is_place = false }}
"""


def test_grid_without_gaps_is_taken_and_is_no_place(tmp_path: Path) -> None:
    grid = cell("g", 120, 120.2) + cell("g-1", 120, 120.1, "g") + cell("g-2", 120.1, 120.2, "g")
    found = read(tmp_path, SITE + grid)
    plan = Plan(Cells([zone(one.id, one.shape) for one in found.zones]), {one.id: one.rules for one in found.zones})
    assert plan.zone_at(120.05, 30.05) == ""


@pytest.mark.parametrize(
    ("west", "words"),
    [
        (120.11, "zones: g: a gap between its cells at 120.1"),
        (120.09, "zones: g-1 and g-2: overlap at 120.09"),
    ],
)
def test_grid_with_a_gap_or_an_overlap_is_refused(tmp_path: Path, west: float, words: str) -> None:
    grid = cell("g", 120, 120.2) + cell("g-1", 120, 120.1, "g") + cell("g-2", west, 120.2, "g")
    with pytest.raises(ConfigError, match=words):
        read(tmp_path, SITE + grid)


def test_families_with_an_underscore_have_devices_too(tmp_path: Path) -> None:
    found = read(tmp_path, (SITE + MORE).replace("gbt26875:889", "sia_dc09:0000001234"))
    assert [device.id for device in found.devices] == ["sia_dc09:0000001234"]


async def test_an_edge_reads_the_rules_of_the_file(tmp_path: Path, postgres: str) -> None:
    ruled = (
        SITE
        + """[zones.rules]
speed_max_kmh = 20
one_of = "rings"
rank = 1
[zones.rules.schedule]
time_zone = "Asia/Shanghai"
windows = [{ on = "22:00", until = "06:00" }]
except_on = [2026-10-01]
"""
    )
    together = """
[[moving_zones]]
id = "escort"
carriers = ["tetra:1"]
radius_m = 50
[[proximity]]
id = "meeting"
one = ["watch:*"]
other = ["tetra:*"]
metres = 20
"""
    found = read(tmp_path, ruled + together + MORE)
    key = Ed25519PrivateKey.generate()
    async with Store(postgres) as store:
        await migrate(store)
        await site.write(store, found)
        async with store.transaction() as tx:
            [issued] = await Documents(key, lambda *_: True).issue(tx, ZONES, NOON, ["gw-1"])
    drawn = read_zones(verify_document(issued.content, key.public_key(), "gw-1", 0, NOON))
    plan = drawn.plan
    assert (drawn.moving, drawn.proximity) == (found.moving_zones, found.proximity)
    assert len(drawn.moving) == len(drawn.proximity) == 1
    assert plan.rules == (found.zones[0].rules,)
    assert plan.rules[0].speed_max_kmh == 20 and plan.rules[0].schedule is not None


async def test_it_is_written_and_written_again(tmp_path: Path, postgres: str) -> None:
    async with Store(postgres) as store:
        await migrate(store)
        store._named["test_devices"] = "SELECT device, family, zone, gateway, name, name_zh, floor FROM devices"
        store._named["test_zones"] = "SELECT zone, name_en, ring FROM zones ORDER BY zone"
        await site.write(store, read(tmp_path, SITE + MORE))
        await site.write(store, read(tmp_path, SITE + MORE))
        [device] = await store.rows("test_devices")
        assert device == {
            "device": "gbt26875:889", "family": "gbt26875", "zone": "hall", "gateway": "gw-1", "name": "Panel",
            "name_zh": "主机", "floor": "1F",
        }  # fmt: skip
        moved = SITE.replace('id = "hall"', 'id = "yard"')
        await site.write(store, read(tmp_path, moved + MORE.replace('zone = "hall"', 'zone = "yard"')))
        assert [row["zone"] for row in await store.rows("test_zones")] == ["yard"]
        await site.write(store, read(tmp_path, SITE))  # the device is not named any more, but stands in yard
        assert [row["zone"] for row in await store.rows("test_zones")] == ["hall", "yard"]

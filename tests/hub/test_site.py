"""The site file: what it says stands in the database; what is wrong in it is said in one line."""

from pathlib import Path

import pytest

from hub import site
from hub.config import ConfigError
from hub.migrations import migrate
from hub.store import Store
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


def test_families_with_an_underscore_have_devices_too(tmp_path: Path) -> None:
    found = read(tmp_path, (SITE + MORE).replace("gbt26875:889", "sia_dc09:0000001234"))
    assert [device.id for device in found.devices] == ["sia_dc09:0000001234"]


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

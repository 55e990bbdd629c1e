"""Every class of mistake in an edge file is refused with file, key and reason; a good one is read as it is."""

import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from devices.families import FAMILIES
from edge import config
from edge.notes import notes
from tests.edge import site

LINK = {"name": "panels", "kind": "tcp_server", "family": "gbt26875", "port": 0}
UDP = {"name": "alarms", "kind": "udp_server", "family": "sia_dc09", "port": 0}
PUSH = {"name": "push", "kind": "http_server", "family": "lorawan", "port": 0}
LORA = {"name": "lora", "kind": "mqtt", "family": "lorawan", "topics": ["application/+/device/+/event/+"]}
CAMERA = {"name": "camera", "kind": "http_client", "family": "onvif", "url": "http://192.0.2.7"}
TAK = {"name": "tak", "kind": "tcp_client", "family": "cot", "host": "192.0.2.8", "port": 8089}
RULE = {
    "name": "r",
    "when": {"group": "fire", "priority_max": 0},
    "actuate": {"actuator": "siren", "state": "on"},
}
COIL = {"name": "siren", "kind": "modbus_coil", "host": "plc", "coil": 3}

MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("unknown key", {"spoool": 1}, "spoool"),
    ("unknown key inside", {"broker": {"hots": "a"}}, "broker"),
    ("missing key", {"gateway": None}, "gateway"),
    ("wrong type", {"gateway": 7}, "gateway"),
    ("name unfit for topics", {"gateway": "GW 1"}, "gateway"),
    ("site unfit for topics", {"site": "a/b"}, "site"),
    ("port out of range", {"broker": {"port": 70_000}}, "broker.port"),
    ("metrics port out of range", {"metrics_port": -1}, "metrics_port"),
    ("link port out of range", {"links": [{**LINK, "port": 65_536}]}, "links[0].port"),
    ("limit too small", {"spool": {"rows_max": 10}}, "spool.rows_max"),
    ("no such time zone", {"time_zone": "Asia/Wuzhen"}, "time_zone"),
    ("empty state_dir", {"state_dir": ""}, "state_dir"),
    ("key file not there", {"hub_public_key_file": "/no/hub.pub"}, "hub_public_key_file"),
    ("password file not there", {"broker": {"password_file": "/no/word"}}, "broker.password_file"),
    ("unknown family", {"links": [{**LINK, "family": "gbt"}]}, "links[0].family"),
    ("a kind that the family does not run on", {"links": [{**UDP, "family": "watch"}]}, "links[0].kind"),
    ("a kind that the edge does not have", {"links": [{**LINK, "kind": "fax"}]}, "links[0]"),
    ("no kind", {"links": [{"name": "panels", "family": "gbt26875", "port": 0}]}, "links[0]"),
    ("multicast group that is none", {"links": [{**UDP, "group": "10.0.0.1"}]}, "links[0].group"),
    ("udp port given twice", {"links": [{**UDP, "port": 9}, {**UDP, "port": 9, "name": "b"}]}, "links: port"),
    ("allowed address that is none", {"links": [{**PUSH, "allow": ["10.0.0.0/99"]}]}, "links[0].allow"),
    ("secret file not there", {"links": [{**PUSH, "path_secret_file": "/no"}]}, "links[0].path_secret_file"),
    ("certificate without its key", {"links": [{**PUSH, "tls_certificate_file": __file__}]}, "links[0].tls_key_file"),
    (
        "key without its certificate",
        {"links": [{**TAK, "tls": True, "tls_key_file": __file__}]},
        "links[0].tls_key_file",
    ),
    ("certificates in the clear", {"links": [{**TAK, "tls_ca_file": __file__}]}, "links[0].tls"),
    ("no topics", {"links": [{**LORA, "topics": []}]}, "links[0].topics"),
    ("address without a scheme", {"links": [{**CAMERA, "url": "camera/"}]}, "links[0].url"),
    ("unknown family setting", {"links": [{**LINK, "settings": {"bcd": True}}]}, "links[0].settings"),
    ("family setting of a wrong type", {"links": [{**LINK, "settings": {"bcd_time": 1}}]}, "links[0].settings"),
    ("family setting out of this world", {"links": [{**LINK, "settings": {"time_zone": "x"}}]}, "links[0].settings"),
    ("link given twice", {"links": [LINK, LINK]}, "links: name"),
    ("port given twice", {"links": [{**LINK, "port": 9}, {**LINK, "port": 9, "name": "b"}]}, "links: port"),
    ("device without family", {"devices": [{"id": "889"}]}, "devices[0].id"),
    ("device of an unknown family", {"devices": [{"id": "fax:889"}]}, "devices[0].id"),
    ("device given twice", {"devices": [{"id": site.PANEL}, {"id": site.PANEL}]}, "devices: id"),
    ("half a position", {"devices": [{"id": site.PANEL, "longitude": 120.0}]}, "devices[0]"),
    ("not on this planet", {"devices": [{"id": site.PANEL, "longitude": 181.0}]}, "devices[0].longitude"),
    ("silence too short", {"devices": [{"id": site.PANEL, "silence_s": 0}]}, "devices[0].silence_s"),
    ("silence too long", {"devices": [{"id": site.PANEL, "silence_s": 1e9}]}, "devices[0].silence_s"),
    (
        "component given twice",
        {"devices": [{"id": site.PANEL, "components": [{"address": "1", "zone": "a"}] * 2}]},
        "devices[0].components",
    ),
    ("unknown actuator kind", {"actuators": [{"name": "siren", "kind": "relay"}]}, "actuators[0]"),
    ("coil out of range", {"actuators": [{**COIL, "coil": 70_000}]}, "actuators[0].coil"),
    ("actuator given twice", {"actuators": [COIL, COIL]}, "actuators: name"),
    ("rule for no group", {"rules": [{**RULE, "when": {"group": "flood", "priority_max": 0}}]}, "rules[0].when.group"),
    (
        "rule for no actuator",
        {"rules": [{**RULE, "actuate": {"actuator": "bell", "state": "on"}}]},
        "rules[0].actuate.actuator",
    ),
    ("rule for no state", {"rules": [{**RULE, "actuate": {"actuator": "siren", "state": "up"}}]}, "rules[0].actuate"),
    ("rule given twice", {"rules": [RULE, RULE]}, "rules: name"),
]


@pytest.mark.parametrize(("changes", "key"), [mistake[1:] for mistake in MISTAKES], ids=[one[0] for one in MISTAKES])
def test_a_mistake_is_told_with_file_and_key(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    given = {name: value for name, value in {**site.told(tmp_path), **changes}.items() if value is not None}
    path = tmp_path / "edge.toml"
    path.write_text(site.toml_text(given, "for a test"))
    with pytest.raises(config.ConfigError) as refused:
        config.load(path, site.FAMILIES)
    text = str(refused.value)
    assert text.startswith(f"{path}: ") and key in text and "\n" not in text
    assert len(text) > len(f"{path}: {key}") + 3, "a reason, too"


@pytest.mark.parametrize("written", ["gateway = ", 'gateway = "\x00"', "[", "\ufeff]"])
def test_what_is_not_toml_is_one_line(tmp_path: Path, written: str) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(written)
    with pytest.raises(config.ConfigError, match="not TOML") as refused:
        config.load(path, site.FAMILIES)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "edge.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(config.ConfigError, match=str(path)):
        config.load(path, site.FAMILIES)


def test_a_good_file_is_read_as_it_is(tmp_path: Path) -> None:
    read = site.config(tmp_path)
    assert (read.gateway, read.metrics_port, read.spool.rows_max) == ("gw-test", 0, 1_000_000)
    assert [link.family for link in read.links] == ["gbt26875", "watch", "jt808"]
    assert list(notes(read, site.FAMILIES)) == []


NOTES: list[tuple[dict[str, Any], str]] = [
    ({"devices": [{"id": site.PANEL}]}, "no device is in zone hall, which a rule names"),
    ({"devices": [{"id": "gbt26875:hall", "zone": "hall"}]}, "devices[0].id: hall is no id of gbt26875: the source"),
    ({"links": [{**LINK, "family": "watch"}]}, f"devices[0]: no link of family gbt26875 can hear {site.PANEL}"),
    ({"broker": {"username": "gw"}}, "broker.username: gw is not the gateway's name, gw-test"),
    (
        {"actuators": [{"name": "siren", "kind": "gpio_file", "path": "/no/siren"}]},
        "actuators[0].path: there is no folder /no",
    ),
]


@pytest.mark.parametrize(("changes", "note"), NOTES)
def test_what_is_often_a_slip_is_noted(tmp_path: Path, changes: dict[str, Any], note: str) -> None:
    found = list(notes(site.config(tmp_path, **changes), site.FAMILIES))
    assert [line for line in found if line.startswith(note)], found


def test_a_family_gets_the_time_zone_of_the_edge_unless_its_link_names_one(tmp_path: Path) -> None:
    own = {**LINK, "name": "own", "settings": {"time_zone": "UTC"}}
    read = site.config(tmp_path, time_zone="Asia/Tokyo", links=[LINK, own])
    family = site.FAMILIES["gbt26875"]
    zones = [config.family_settings(link, family, read.time_zone).time_zone for link in read.links]  # type: ignore[attr-defined]
    assert zones == ["Asia/Tokyo", "UTC"]


@pytest.mark.parametrize(("content", "reason"), [("", "is empty"), (None, "No such file")])
def test_a_secret_that_is_not_there_is_one_line(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "word"
    if content is not None:
        path.write_text(content)
    with pytest.raises(config.ConfigError, match=reason):
        config.read_secret(path)


def test_every_mistake_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    links = [{**LINK, "kind": "tcp"}, {**LINK, "port": 70_000, "prot": 1}]
    devices = [{"id": "889"}, {"id": site.PANEL, "zone": "Hall A"}]
    rules = [{**RULE, "actuate": {"actuator": "siren", "state": "up"}}]
    given = {**site.told(tmp_path), "links": links, "devices": devices, "rules": rules, "gateway": 7}
    path.write_text(site.toml_text({key: given[key] for key in given if key != "site"}, "for a test"))
    with pytest.raises(config.ConfigError) as refused:
        config.load(path, site.FAMILIES)
    lines = [line.removeprefix(f"{path}: ") for line in str(refused.value).splitlines()]
    assert "site: is missing" in lines and "gateway: expected str, got int" in lines
    assert any(
        line.startswith("links[0].kind: 'tcp' is not known; expected tcp_server or tcp_client") for line in lines
    )
    assert "links[1].port: expected int ≤ 65535" in lines and "links[1].prot: unknown key; port is meant?" in lines
    assert "rules[0].actuate.state: 'up' is not known; expected on or off" in lines
    assert any(line.startswith("devices[0].id: expected family:native-id, such as gbt26875:889") for line in lines)
    assert any(line.startswith("devices[1].zone: expected lower-case letters") for line in lines)
    assert len(lines) == 8 and not any("^" in line for line in lines), lines


def test_every_contradiction_is_told(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    changes = {"time_zone": "Asia/Wuzhen", "hub_public_key_file": "/no/hub.pub", "links": [{**LINK, "family": "gbt"}]}
    path.write_text(site.toml_text({**site.told(tmp_path), **changes}, "for a test"))
    with pytest.raises(config.ConfigError) as refused:
        config.load(path, site.FAMILIES)
    assert "no file /no/hub.pub; copy hub.pub from the hub's state_dir" in str(refused.value)
    keys = [line.removeprefix(f"{path}: ").partition(": ")[0] for line in str(refused.value).splitlines()]
    assert keys == ["time_zone", "hub_public_key_file", "links[0].family"]


def test_a_device_may_be_silent_for_as_long_as_its_file_says(tmp_path: Path) -> None:
    slow, usual = site.config(tmp_path, devices=[{"id": site.PANEL, "silence_s": 86_400}, {"id": site.BAND}]).devices
    panels, bands = site.FAMILIES["gbt26875"], site.FAMILIES["watch"]
    assert config.silence_s_max(slow, panels) == 86_400
    assert config.silence_s_max(usual, bands) == bands.silence_s_max
    assert config.patient(panels, [slow, usual]).silence_s_max == 86_400, "links give it up no sooner"
    assert config.patient(bands, [slow, usual]).silence_s_max == bands.silence_s_max
    quick = replace(slow, silence_s=1)
    assert config.silence_s_max(quick, panels) == 1
    assert config.patient(panels, [quick]).silence_s_max == panels.silence_s_max


KEY = "AbcdefghIjklmnop"
SIA = {"name": "sia", "kind": "tcp_server", "family": "sia_dc09", "port": 0}
OSDP = {"name": "osdp", "kind": "serial", "family": "osdp", "path": "/dev/ttyUSB0"}


def test_a_text_of_the_settings_may_stand_in_a_file(tmp_path: Path) -> None:
    words = {"sia": KEY, "osdp": "0f" * 16}
    for name, word in words.items():
        (tmp_path / name).write_text(f"{word}\n")
    keyed = {**SIA, "settings": {"keys": {"1234": f"file:{tmp_path / 'sia'}", "*": "x" * 16}}}
    reader = {**OSDP, "settings": {"readers": [{"address": 5, "key": f"file:{tmp_path / 'osdp'}"}]}}
    read = site.config(tmp_path, links=[keyed, reader])
    panels, readers = (config.family_settings(link, FAMILIES[link.family], "UTC") for link in read.links)
    assert panels.keys == {"1234": KEY, "*": "x" * 16}  # type: ignore[attr-defined]
    assert readers.readers[0].key == words["osdp"]  # type: ignore[attr-defined]
    assert KEY not in repr(read)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not text"),
        (b"secret-1\nsecret-2\n", "expected one line"),
        (b"secret" * 1_000, "expected one line"),
        (b"secret-too-short", "; read from "),
    ],
)
@pytest.mark.parametrize(
    ("link", "key"),
    [
        ({**SIA, "settings": {"keys": {"1234": "file:FILE"}, "time_zone": "file:FILE"}}, "links[0].settings"),
        ({**OSDP, "settings": {"readers": [{"address": 5, "key": "file:FILE"}]}}, "links[0].settings.readers[0]"),
    ],
)
def test_a_wrong_file_is_told_without_what_is_in_it(
    tmp_path: Path, link: dict[str, Any], key: str, content: bytes | None, reason: str
) -> None:
    word = tmp_path / "word"
    if content is not None:
        word.write_bytes(content)
    named = msgspec.json.decode(msgspec.json.encode(link).replace(b"FILE", str(word).encode()))
    path = tmp_path / "edge.toml"
    path.write_text(site.toml_text({**site.told(tmp_path), "links": [named]}, "for a test"))
    with pytest.raises(config.ConfigError) as refused:
        config.load(path, FAMILIES)
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"{path}: {key}") and str(word) in line and reason in line
    assert "secret" not in line and "secret" not in "".join(traceback.format_exception(refused.value))

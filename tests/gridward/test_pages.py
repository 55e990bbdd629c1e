"""Pages made from code are committed as the code makes them, and say all that a person needs."""

import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec import convert

from devices.dictionary import ALARMS, EVENTS, METRICS
from devices.families import FAMILIES
from devices.family import AnyFamily
from edge import config
from geofences.rules import Rules
from geofences.together import Beside
from gridward import family_page, fence_pictures, fence_scenes, pages

ROOT = Path(__file__).parents[2]
EDGE = 'site = "wuzhen"\ngateway = "gw-1"\nstate_dir = "state"\n\n'
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)


def test_the_pages_are_current() -> None:
    made = pages.pages((ROOT / pages.README).read_text())
    assert [str(path) for path, text in made.items() if (ROOT / path).read_text() != text] == [], "run make docs"
    assert {path.relative_to(ROOT) for path in (ROOT / pages.FAMILY_FOLDER).glob("*.md")} <= set(made)


def test_the_dictionary_page_names_everything() -> None:
    page = pages.dictionary()
    assert [name for name in (*METRICS, *ALARMS, *EVENTS) if f"| `{name}` |" not in page] == []


def test_the_readme_names_every_family() -> None:
    assert pages.README_FAMILIES.search((ROOT / pages.README).read_text())


@every_family
def test_a_family_says_what_its_page_needs(family: AnyFamily) -> None:
    assert family.native_id, "Family.native_id: what names a device"
    assert family.example.native_id, "Family.example: a device as an installer would write it"
    assert family_page.time_rule(family), "the module's docstring: a point that begins with Times"
    assert [name for name, told in family_page.meanings_of(family).items() if not told] == [], "Settings' docstring"
    assert set(family.links) <= set(family_page.LINK_KINDS), "edge/link_config.py has the kinds of links"


@every_family
def test_an_example_of_a_page_is_a_file_that_the_edge_takes(
    family: AnyFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("camera.password", "push.secret", "tak-ca.pem", "tak-client.pem", "tak-client.key"):
        (tmp_path / name).write_text("secret\n")
    for kind, text in family_page.examples(family).items():
        (tmp_path / "edge.toml").write_text(EDGE + text)
        loaded = config.load(Path("edge.toml"), FAMILIES)
        assert text in (ROOT / pages.FAMILY_FOLDER / f"{family.name}.md").read_text()
        assert [(family_page.link_config.kind_of(one), one.family) for one in loaded.links] == [(kind, family.name)]
        assert [one.id for one in loaded.devices] == [f"{family.name}:{family.example.native_id}"]


def test_every_kind_of_zone_event_has_a_picture_that_shows_it() -> None:
    played = [(scene, mark) for scene in fence_scenes.SCENES for mark in fence_scenes.played(scene)]
    shown = {mark.kind for scene, mark in played if mark.kind in scene.kinds}
    assert {f"zone_{kind}" for kind in shown} == {kind for kind in EVENTS if kind.startswith("zone_")}
    for scene in fence_scenes.SCENES:
        assert set(scene.kinds) <= {mark.kind for mark in fence_scenes.played(scene)}, scene.name
        svg = ElementTree.fromstring(fence_pictures.picture(scene))  # noqa: S314 - ours
        words = [text for text in svg.iter("{http://www.w3.org/2000/svg}text") if text.get("class") == "k"]
        assert len(words) >= len(scene.kinds)


def test_settings_on_the_geofences_page_are_what_a_site_file_takes() -> None:
    for scene in fence_scenes.SCENES:
        found = tomllib.loads(scene.setting)
        if "proximity" in found or "moving_zones" in found:
            convert(found, Beside)
        elif "zones" in found:
            convert(found["zones"]["rules"], Rules)
        elif {"direction", "checkpoints"} & found.keys():
            convert({"corridor": {"line": [[120.0, 30.0], [120.1, 30.0]]} | found}, Rules)
        else:
            convert(found, Rules)

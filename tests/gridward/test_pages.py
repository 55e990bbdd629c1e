"""Pages made from code are committed as the code makes them, and say all that a person needs."""

from pathlib import Path

import pytest

from devices.dictionary import ALARMS, EVENTS, METRICS
from devices.families import FAMILIES
from devices.family import AnyFamily
from edge import config
from gridward import family_page, pages

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

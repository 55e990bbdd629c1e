"""The registry of families says what there is, and loads only what is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

from devices.families import FAMILIES

ROOT = Path(__file__).parents[2]
ASKED = """
import sys
from devices.families import FAMILIES
assert "watch" in FAMILIES and "ftp" not in FAMILIES and len(list(FAMILIES)) == len(FAMILIES)
FAMILIES["watch"]
print(*sorted(name.removeprefix("devices.families.") for name in sys.modules if name.startswith("devices.families.")))
"""


def test_a_family_has_the_name_of_its_module_and_none_is_forgotten() -> None:
    assert [family.name for family in FAMILIES.values()] == sorted(FAMILIES)
    assert {
        path.stem for path in (ROOT / "devices" / "families").glob("*.py") if "\nFAMILY = " in path.read_text()
    } == set(FAMILIES)


def test_only_what_is_asked_for_is_loaded() -> None:
    loaded = _loaded(ASKED).split()
    assert "watch" in loaded and {name.partition("_")[0] for name in loaded} == {"watch"}


def test_an_agent_starts_with_what_all_agents_need() -> None:
    """Each of these is megabytes: only the links, actuators and outputs that need one load it."""
    heavy = {"aiohttp", "httpx", "serialx", "pymodbus", "prometheus_client", "shapely", "numpy", "xml"}
    found = _loaded("import sys, edge.agent\nprint(*sys.modules)").split()
    assert "edge.agent" in found
    assert heavy & {name.partition(".")[0] for name in found} == set()
    assert [name for name in found if name.startswith("devices.families.")] == []


def test_an_unknown_name_is_a_key_error() -> None:
    assert FAMILIES.get("ftp") is None
    with pytest.raises(KeyError):
        FAMILIES["ftp"]


def _loaded(program: str) -> str:
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stdout

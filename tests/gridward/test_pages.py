"""Pages made from code are committed as the code makes them."""

from pathlib import Path

from devices.dictionary import ALARMS, EVENTS, METRICS
from gridward import pages

ROOT = Path(__file__).parents[2]


def test_the_dictionary_page_is_current() -> None:
    assert (ROOT / pages.DICTIONARY_PAGE).read_text() == pages.dictionary(), "run make docs"


def test_the_dictionary_page_names_everything() -> None:
    page = pages.dictionary()
    assert [name for name in (*METRICS, *ALARMS, *EVENTS) if f"| `{name}` |" not in page] == []

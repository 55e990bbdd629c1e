"""Pages of docs/ that come from the code, so that they cannot disagree with it. Run by `make docs`."""

import re
from pathlib import Path

from devices.dictionary import ALARMS, EVENTS, METRICS
from devices.families import FAMILIES
from gridward import family_page, fence_pictures

DICTIONARY_PAGE = Path("docs/dictionary.md")
FAMILY_FOLDER = Path("docs/families")
README = Path("README.md")
README_FAMILIES = re.compile(r"(?<=<!-- families: made by make docs -->\n).*?(?=<!-- end -->)", re.DOTALL)

HEAD = """\
# Dictionary

Generated from `devices/dictionary.py` by `make docs`. Do not edit.

Every name that an observation may carry. A value outside its metric's range is not published: the decoder leaves it
out, as it does what was not measured.
Priorities: 0 life safety, 1 security and SOS, 2 faults and supervision, 3 state, 4 telemetry.
"""


def dictionary() -> str:
    """The whole page, Markdown."""
    metrics = [
        f"| `{metric.name}` | {metric.unit} | {_number(metric.low)} … {_number(metric.high)} | {metric.meaning} |"
        for metric in METRICS.values()
    ]
    alarms = [
        f"| `{alarm.name}` | {alarm.priority} | {alarm.group} | {'people' if alarm.latching else 'the device'} "
        f"| {alarm.meaning} |"
        for alarm in ALARMS.values()
    ]
    events = [f"| `{event.name}` | {event.priority} | {event.meaning} |" for event in EVENTS.values()]
    return "\n".join(
        [
            HEAD,
            "## Metrics",
            "Units are UCUM where it has one.\n",
            "| metric | unit | range | meaning |",
            "|---|---|---|---|",
            *metrics,
            "\n## Alarms",
            "Alarms of one group that belong together become one incident. A latching alarm is closed by people, never",
            "by its sensor alone.\n",
            "| alarm | priority | group | closed by | meaning |",
            "|---|---|---|---|---|",
            *alarms,
            "\n## Events\n",
            "| event | priority | meaning |",
            "|---|---|---|",
            *events,
            "",
        ]
    )


def pages(readme: str) -> dict[Path, str]:
    """Every page made from code: its place below the repository -> its text. `readme`: README.md as it is now."""
    listed = family_page.short_list(FAMILIES, FAMILY_FOLDER.as_posix()) + "\n"
    families = {FAMILY_FOLDER / f"{family.name}.md": family_page.page(family) for family in FAMILIES.values()}
    return {
        DICTIONARY_PAGE: dictionary(),
        README: README_FAMILIES.sub(lambda _: listed, readme),
        FAMILY_FOLDER / "README.md": family_page.overview(FAMILIES),
        **families,
        **fence_pictures.pages(),
    }


def write(root: Path) -> None:
    for folder in (FAMILY_FOLDER, fence_pictures.PICTURES):
        (root / folder).mkdir(parents=True, exist_ok=True)
    made = pages((root / README).read_text())
    for stale in set((root / FAMILY_FOLDER).glob("*.md")) - {root / path for path in made}:
        stale.unlink()
    for path, text in made.items():
        (root / path).write_text(text)


def _number(value: float) -> str:
    return f"{value:g}"


if __name__ == "__main__":
    write(Path(__file__).parent.parent)

"""Pages of docs/ that come from the code, so that they cannot disagree with it. Run by `make docs`."""

from pathlib import Path

from devices.dictionary import ALARMS, EVENTS, METRICS

DICTIONARY_PAGE = Path("docs/dictionary.md")

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


def write(root: Path) -> None:
    page = root / DICTIONARY_PAGE
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(dictionary())


def _number(value: float) -> str:
    return f"{value:g}"


if __name__ == "__main__":
    write(Path(__file__).parent.parent)

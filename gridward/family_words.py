"""What a family can say, read from its source: the names of the dictionary that stand in the modules it is made of.

A family names a metric, alarm or event by the literal word (the dictionary is asked with it), so the words that stand
in its modules are all that it can say, and the property tests of tests/devices fail when one says anything else. What
the settings can name besides, `Family.kinds_by_settings` says.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from msgspec import Struct

from devices.dictionary import ALARMS, EVENTS, METRICS
from devices.family import AnyFamily
from devices.observation import Alarm, Body, Event, Position, Telemetry

ROOT = Path(__file__).parent.parent
# They hold no words of a family's own.
NOT_FOLLOWED = ("devices.dictionary", "devices.family", "devices.observation", "devices.families", "devices")


class Words(Struct, frozen=True):
    metrics: tuple[str, ...]
    alarms: tuple[str, ...]
    events: tuple[str, ...]
    positions: bool


@cache
def words_of(name: str) -> Words:
    """Of the family `name`, each in the dictionary's order."""
    trees = _modules(f"devices.families.{name}")
    said = {word for tree in trees.values() for word in _words(tree)}
    return Words(
        metrics=tuple(metric for metric in METRICS if metric in said),
        alarms=tuple(alarm for alarm in ALARMS if alarm in said),
        events=tuple(event for event in EVENTS if event in said),
        positions=any(_makes_positions(tree) for tree in trees.values()),
    )


def unsaid(family: AnyFamily, body: Body) -> str:
    """What `body` has that the family's page does not tell, "" when there is nothing."""
    words, any_kind = words_of(family.name), family.kinds_by_settings
    match body:
        case Telemetry(values=values):
            return " ".join(sorted(set(values) - set(METRICS if any_kind else words.metrics)))
        case Alarm(kind=kind):
            return "" if kind in (ALARMS if any_kind else words.alarms) else kind
        case Event(kind=kind):
            return "" if kind in words.events else kind
        case Position():
            return "" if words.positions else "position"


def _modules(name: str) -> dict[str, ast.Module]:
    """The module and all of devices/ that it imports, with what those import."""
    found: dict[str, ast.Module] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop()
        path = ROOT / (module.replace(".", "/") + ".py")
        if module not in found and module not in NOT_FOLLOWED and path.exists():
            found[module] = ast.parse(path.read_text())
            waiting += _imported(found[module])
    return found


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _words(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _makes_positions(tree: ast.Module) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(function, ast.Name) and function.id == "Position" for function in calls)

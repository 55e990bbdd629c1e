"""The page of a family in docs/families, Markdown, from its code: docstrings, Family, Settings, the words it knows."""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from msgspec import NODEFAULT, Struct
from msgspec import inspect as shapes

from devices.dictionary import ALARMS, EVENTS, METRICS
from devices.family import AnyFamily, Family
from edge import link_config
from gridward.family_words import words_of
from gridward.toml_text import toml_text

LINK_KINDS: dict[str, type[Struct]] = {kind.__struct_config__.tag: kind for kind in get_args(link_config.Link)}

# What a link of a kind needs at least; a family's Example goes before.
ADDRESSES: dict[str, dict[str, Any]] = {
    "tcp_server": {"host": "0.0.0.0", "port": 9000},  # noqa: S104 - an example that devices can reach
    "tcp_client": {"host": "10.0.0.20", "port": 9000},
    "udp_server": {"host": "0.0.0.0", "port": 9000},  # noqa: S104 - as above
    "http_server": {"host": "0.0.0.0", "port": 9080},  # noqa: S104 - as above
    "http_client": {"url": "http://10.0.0.20"},
    "http_stream": {"url": "http://10.0.0.20/events"},
    "mqtt": {"host": "10.0.0.5", "topics": ["devices/#"]},
    "datagrams": {"host": "0.0.0.0", "ports": [9000]},  # noqa: S104 - as above
    "modbus": {"host": "10.0.0.20"},
    "serial": {"path": "/dev/ttyUSB0", "baud": 9600},
    "ble": {"adapter": "hci0"},
    "folder": {"path": "/srv/gridward/incoming", "pattern": "*"},
}
NONE = "none"
POSITIONS = 'yes, WGS-84; devices that send GCJ-02 or BD-09 are on a link with `datum = "gcj02"` or `"bd09"`'
SENTENCE = re.compile(r"(?<=[^.])[.;] (?=[A-Z`])| - (?=[A-Z`])")
ALL_HAVE = {"time_zone": "of times that name none; the edge's, unless it is given"}
_TIMES = r"(?:Times\b|There (?:is|are) no (?:device )?times?\b|LIP has no absolute time)"
TIMES = re.compile(rf"^- (?:{_TIMES}.*(?:\n  .*)*)|^(?:{_TIMES}.*(?:\n.+)*)", re.MULTILINE)


def page(family: AnyFamily) -> str:
    """The whole page; what is empty says so, so that nobody looks for it elsewhere."""
    parts = [
        f"# `{family.name}`: {family.title}",
        f"Generated from `devices/families/{family.name}.py` by `make docs`. Do not edit.",
        _markdown(_docstring(family)),
        *_connecting(family),
        "## Settings\n\n" + "\n\n".join(_settings(family)),
        *_says(family),
        "## Commands\n\n" + _commands(family),
        _limits(family),
    ]
    return "\n\n".join(parts) + "\n"


def overview(families: Mapping[str, AnyFamily]) -> str:
    """docs/families/README.md."""
    rows = [
        f"| [`{one.name}`]({one.name}.md) | {one.title} | {', '.join(one.links)} | {_integrity(one)} "
        f"| {duration(one.silence_s_max)} | {', '.join(kind.name for kind in one.commands) or NONE} |"
        for one in families.values()
    ]
    head = [
        "# Device families",
        "",
        "Generated from `devices/families/` by `make docs`. Do not edit.",
        "",
        "A family is all devices that speak one protocol. Its page tells how to connect one, and what it can say.",
        "Silent for longer than the limit: alarm `lost_contact`; `silence_s` in its `[[devices]]` entry gives a device",
        "another limit (seconds).",
        "",
        "| family | what | links | integrity | silence | commands |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def short_list(families: Mapping[str, AnyFamily], folder: str) -> str:
    """A line each, for the README."""
    return "\n".join(f"- [`{one.name}`]({folder}/{one.name}.md): {one.title}" for one in families.values())


def examples(family: AnyFamily) -> dict[str, str]:
    """Link kind -> `[[links]]` and `[[devices]]` to put into an edge's file."""
    return {kind: _example(family, kind) for kind in family.links}


def _example(family: AnyFamily, kind: str) -> str:
    given = family.example
    own = given.kinds.get(kind, {})
    known = set(LINK_KINDS[kind].__struct_fields__) - {"settings"}
    keys = {name: value for name, value in {**given.link, **own}.items() if name in known}
    link = {"kind": kind, "name": f"{family.name}-1", "family": family.name, **ADDRESSES[kind], **keys}
    told = {**given.settings, **own.get("settings", {})}
    settings = {"settings": told} if told else {}
    device = {"id": f"{family.name}:{given.native_id}", "name": "Hall A", "zone": "hall-a"}
    return toml_text({"links": [{**link, **settings}], "devices": [device]}).strip()


def _connecting(family: AnyFamily) -> Iterator[str]:
    yield f"## Connect it\n\nThe native id is {family.native_id}. A device's id is `{family.name}:` and its native id."
    for kind, text in examples(family).items():
        yield f"{_doc(LINK_KINDS[kind])}\n\n```toml\n{text}\n```".replace("\n\n", f" (`{kind}`)\n\n", 1)


def _settings(family: AnyFamily) -> Iterator[str]:
    """A table for the settings, and one for each table inside them."""
    if _has_text(family.settings):
        yield 'Keys and passwords: a text `"file:/path"` is read from that file, one line; only the path is ever shown.'
    meanings = meanings_of(family)
    waiting, shown = [family.settings], set[type[Struct]]()
    while waiting:
        struct = waiting.pop(0)
        if struct in shown:
            continue
        shown.add(struct)
        fields = _fields(struct)
        rows = [f"| `{one.name}` | {_type(one.type)} | {_default(one)} |" for one in fields]
        if struct is family.settings:
            rows = [f"{row} {meanings[one.name]} |" for row, one in zip(rows, fields, strict=True)]
            yield "\n".join(["| setting | type | default | meaning |", "|---|---|---|---|", *rows])
        else:
            title = f"### {struct.__name__}\n\n{_doc(struct)}\n"
            yield "\n".join([title, "| key | type | default |", "|---|---|---|", *rows])
        waiting += [inner for one in fields for inner in _structs(one.type)]


def _has_text(struct: type[Struct]) -> bool:
    return any("text" in _type(one.type) or any(map(_has_text, _structs(one.type))) for one in _fields(struct))


def meanings_of(family: AnyFamily) -> dict[str, str]:
    """Setting -> the sentence that tells what it does: of the Settings' docstring, else of the module's; "" if none."""
    texts = [
        one for text in (_doc(family.settings), _docstring(family)) for one in SENTENCE.split(" ".join(text.split()))
    ]
    found = {}
    for name in family.settings.__struct_fields__:
        told = next((text for text in texts if f"`{name}`" in text), ALL_HAVE.get(name, ""))
        found[name] = told.removeprefix("- ").removeprefix(f"`{name}`: ").rstrip(".").replace("|", "\\|")
    return found


def _says(family: AnyFamily) -> Iterator[str]:
    words = words_of(family.name)
    by_settings = ", and any other of the [dictionary](../dictionary.md) that the settings name"
    more = by_settings if family.kinds_by_settings else ""
    alarms = ", ".join(f"`{name}` (P{ALARMS[name].priority})" for name in words.alarms)
    metrics = ", ".join(f"`{name}` ({METRICS[name].unit})" for name in words.metrics)
    events = ", ".join(f"`{name}` (P{EVENTS[name].priority})" for name in words.events)
    yield "## What it can say"
    yield f"Alarms: {alarms or NONE}{more}."
    yield f"Metrics: {metrics or NONE}{more}."
    yield f"Events: {events or NONE}."
    yield f"Positions: {POSITIONS if words.positions else 'no'}."


def _commands(family: AnyFamily) -> str:
    if not family.commands:
        return "It takes none."
    rows = [
        f"| `{kind.name}` | {kind.meaning} | "
        f"{', '.join(f'`{name}`: {what}' for name, what in kind.args.items()) or NONE} |"
        for kind in family.commands
    ]
    return "\n".join(["| command | what it does | arguments |", "|---|---|---|", *rows])


def _limits(family: AnyFamily) -> str:
    what = "frame" if isinstance(family, Family) else "message"
    size = family.frame_bytes_max if isinstance(family, Family) else family.message_bytes_max
    lines = [
        "## Limits",
        "",
        f"- Integrity of a {what}: {_integrity(family)}.",
        f"- Longest {what}: {size:,} bytes; what is longer is refused.",
        f"- Liveness: silent for longer than {duration(family.silence_s_max)}, alarm `lost_contact` (P2), "
        "unless the device has a `silence_s` of its own.",
    ]
    if isinstance(family, Family) and family.one_connection:
        lines.append("- One connection of a device at a time: a newer one replaces the older.")
    return "\n".join([*lines, f"- Time: {time_rule(family)}"])


def time_rule(family: AnyFamily) -> str:
    """What the module's docstring says of times, from there to the end of its point."""
    found = TIMES.search(_docstring(family))
    return " ".join(found[0].split()).removeprefix("- ") if found else ""


def _docstring(family: AnyFamily) -> str:
    return inspect.getdoc(sys.modules[f"devices.families.{family.name}"]) or ""


def _doc(struct: type[Struct]) -> str:
    return " ".join((inspect.getdoc(struct) or "").split())


def _markdown(text: str) -> str:
    """A list needs a blank line before it, and a tag's bracket is no tag."""
    apart = re.sub(r"(?m)^(?!- |  )(.+)\n(?=- )", r"\1\n\n", text)
    return re.sub(r"<(?=[a-zA-Z/!?])", r"\\<", apart)


def _integrity(family: AnyFamily) -> str:
    return family.integrity or NONE


def duration(seconds: float) -> str:
    """In the largest unit that keeps it whole."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _fields(struct: type[Struct]) -> tuple[shapes.Field, ...]:
    described = shapes.type_info(struct)
    return described.fields if isinstance(described, shapes.StructType) else ()


def _structs(shape: shapes.Type) -> Iterator[type[Struct]]:
    if isinstance(shape, shapes.StructType):
        yield shape.cls
    for inner in _inner(shape):
        yield from _structs(inner)


def _inner(shape: shapes.Type) -> tuple[shapes.Type, ...]:
    match shape:
        case shapes.VarTupleType() | shapes.ListType():
            return (shape.item_type,)
        case shapes.DictType():
            return (shape.key_type, shape.value_type)
        case shapes.UnionType():
            return shape.types
        case shapes.TupleType():
            return shape.item_types
    return ()


def _type(shape: shapes.Type) -> str:
    """As an installer thinks of it in TOML."""
    inner = [_type(one) for one in _inner(shape)]
    match shape:
        case shapes.StructType():
            return f"table [{shape.cls.__name__}](#{shape.cls.__name__.lower()})"
        case shapes.VarTupleType() | shapes.ListType():
            return f"array of: {inner[0]}"
        case shapes.TupleType():
            return f"array: {', '.join(inner)}"
        case shapes.DictType():
            return f"table: {inner[0]} → {inner[1]}"
        case shapes.UnionType():
            return " or ".join(one for one in inner if one != "nothing")
        case shapes.LiteralType():
            return " or ".join(f"`{value}`" for value in shape.values)
        case shapes.IntType() | shapes.FloatType():
            return ("integer" if isinstance(shape, shapes.IntType) else "number") + _range(shape.ge, shape.le)
    names: dict[type[shapes.Type], str] = {shapes.StrType: "text", shapes.BoolType: "true or false"}
    return names.get(type(shape), "nothing" if isinstance(shape, shapes.NoneType) else "value")


def _range(low: float | None, high: float | None) -> str:
    return f" ({low:,} … {high:,})" if low is not None and high is not None else ""


def _default(field: shapes.Field) -> str:
    if field.required:
        return "must be given"
    value = field.default if field.default is not NODEFAULT else field.default_factory()
    if value is None or value in ((), {}):
        return NONE
    return f"`{toml_text({'x': value}).removeprefix('x = ').strip()}`" if value != "" else '`""`'

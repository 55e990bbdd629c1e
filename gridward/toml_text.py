"""Plain values as TOML text: what the demo writes its configuration files with."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


def toml_text(document: Mapping[str, Any], heading: str = "") -> str:
    """`document` as TOML: plain keys first, then tables and arrays of tables, nested values inline."""
    lines = [f"# {line}" for line in heading.splitlines()]
    plain = {key: value for key, value in document.items() if not _is_table(value) and not _is_tables(value)}
    lines += [_pair(key, value) for key, value in plain.items()]
    for key, value in document.items():
        if _is_table(value):
            lines += ["", f"[{_key(key)}]", *(_pair(*pair) for pair in value.items())]
        elif _is_tables(value):
            for item in value:
                lines += ["", f"[[{_key(key)}]]", *(_pair(*pair) for pair in item.items())]
    return "\n".join(lines) + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _pair(key: str, value: object) -> str:
    return f"{_key(key)} = {_inline(value)}"


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else _string(key)


def _inline(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(_pair(*pair) for pair in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return _string(str(value))


def _string(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")

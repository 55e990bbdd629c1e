"""What is wrong with a document of a person's (a TOML file): everything, in the order of the file, in words.

msgspec stops at the first mistake, which is right for machines. Here each part of the document is converted by itself,
so that all are told. A pattern is told by the `description` of its Meta, a choice by what may be chosen.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

PLACE = re.compile(r"^(?P<what>.*?) - at `(?P<where>(?:\$|key in \$).*)`$")


def mistakes(given: object, kind: Any, where: str = "") -> Iterator[str]:
    """One line for each: "links[0].port: expected int ≤ 65535". None when `given` is a `kind`."""
    try:
        msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        found = list(_inside(given, _bare(kind), where))
        yield from found or [_placed(_words(given, kind, str(error)), where)]


def _inside(given: object, kind: Any, where: str) -> Iterator[str]:
    """The mistakes in the parts of `given`; none when it has no parts, or only the whole is wrong."""
    if get_origin(kind) is tuple and isinstance(given, list):
        for index, item in enumerate(given):
            yield from mistakes(item, get_args(kind)[0], f"{where}[{index}]")
    elif isinstance(given, Mapping):
        structs = [part for part in _parts(kind) if isinstance(part, type) and issubclass(part, Struct)]
        if structs and (tag_field := structs[0].__struct_config__.tag_field):
            yield from _tagged(given, {part.__struct_config__.tag: part for part in structs}, tag_field, where)
        elif structs:
            yield from _keys(given, structs[0], where)


def _tagged(given: Mapping[str, Any], kinds: Mapping[Any, type[Struct]], tag_field: str, where: str) -> Iterator[str]:
    """One of several structs, told apart by a key."""
    tag = given.get(tag_field)
    if isinstance(tag, str) and tag in kinds:
        yield from _keys({key: value for key, value in given.items() if key != tag_field}, kinds[tag], where)
        return
    said = "is missing" if tag is None else f"{tag!r} is not known"
    yield _placed(f"{said}; expected {' or '.join(map(str, kinds))}", _key(where, tag_field))


def _keys(given: Mapping[str, Any], kind: type[Struct], where: str) -> Iterator[str]:
    known: dict[str, FieldInfo] = {field.encode_name: field for field in fields(kind)}
    for key, value in given.items():
        if key in known:
            yield from mistakes(value, known[key].type, _key(where, key))
        else:
            near = get_close_matches(key, known, 1)
            meant = f"; {near[0]} is meant?" if near else f"; known are {', '.join(known)}"
            yield _placed(f"unknown key{meant}", _key(where, key))
    for key, field in known.items():
        if field.required and key not in given:
            yield _placed("is missing", _key(where, key))


def _words(given: object, kind: Any, text: str) -> str:
    """msgspec's own words, but what is allowed where it would show a regex or nothing."""
    described = next((meta.description for meta in _metas(kind) if meta.description), None)
    if described and "regex" in text:
        return f"expected {described}"
    if get_origin(_bare(kind)) is Literal:
        return f"{given!r} is not known; expected {' or '.join(map(str, get_args(_bare(kind))))}"
    return text


def _placed(text: str, where: str) -> str:
    found = PLACE.match(text)
    what = (found["what"] if found else text).replace("`", "").replace("<=", "≤").replace(">=", "≥")
    what = what[:1].lower() + what[1:]
    return f"{where}: {what}" if where else what


def _key(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _parts(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _metas(kind: Any) -> list[Meta]:
    return [part for part in get_args(kind)[1:] if isinstance(part, Meta)] if get_origin(kind) is Annotated else []

"""Text of remote origin: JSON that may be anything, and words that go into an observation. Pure."""

from typing import TypeVar

import msgspec

from devices.observation import TEXT_CHARS_MAX

T = TypeVar("T")


def read_json(data: bytes | str, type_: type[T]) -> T | None:
    """`data` as `type_`, or None when it is no JSON or of another shape. Numbers in strings are numbers.

    Never raises: bytes that are no UTF-8 and thousands of brackets are of another shape, too.
    """
    try:
        return msgspec.json.decode(data, type=type_, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def clean(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Text that a database takes: without NUL, of bounded length."""
    return text.replace("\0", "")[:chars_max]

"""What a check of `gridward doctor` found, and what to do about it."""

from typing import Literal

from msgspec import Struct

Verdict = Literal["ok", "warning", "failure"]


class Finding(Struct, frozen=True):
    """A warning works but should be known; a failure stops the demo, an edge or a hub."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""

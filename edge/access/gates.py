"""A gate's own settings (`[[gates]]` of the edge's file), and what contradicts itself in them. Pure.

Rules
- Face is never the only way in: a gate that reads no credential does not load, and a gate that reads only number
  plates never grants to people on foot, so it may not ask for a face.
- The threshold of a 1:1 comparison is at least THRESHOLD_MIN until it has been measured on the site's own consenting
  people: false matches were 4 to 9 times more frequent among East and South-East Asian faces than overall.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from edge.access.passes import CredentialKind
from edge.link_config import Name

THRESHOLD_MIN = 0.50  # cosine of SFace

Need = Literal["required", "when_there", "off"]


class Gate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`zone`: where it leads; `direction`: "in" or "out" of it.

    `reads`: the credentials that it takes. `face`, `liveness`, `temperature`: "required" refers whoever lacks it to
    staff; "when_there" looks at it when it was measured; "off" does not look. `without_face`: what is asked of somebody
    who has no template or gave no consent, or while the model is not there: "code" (the pass's own code), "refer".
    `measured_threshold`: below THRESHOLD_MIN, and only after `gridward face measure` on the site's own people.
    """

    name: Name
    zone: Name
    direction: Literal["in", "out"] = "in"
    reads: Annotated[tuple[CredentialKind, ...], Meta(max_length=4)]
    face: Need = "required"
    without_face: Literal["refer", "code"] = "refer"
    threshold: Annotated[float, Meta(ge=THRESHOLD_MIN, le=0.95)] = THRESHOLD_MIN
    measured_threshold: Annotated[float, Meta(ge=0.2, le=0.95)] | None = None
    liveness: Need = "required"
    temperature: Need = "when_there"
    temperature_c_max: Annotated[float, Meta(ge=36, le=42)] = 37.3
    temperature_c_min: Annotated[float, Meta(ge=25, le=36)] = 34.0
    anti_passback: Literal["hard", "soft", "off"] = "hard"
    anti_passback_s: Annotated[float, Meta(ge=0, le=604_800)] = 43_200
    two_person_s: Annotated[float, Meta(ge=1, le=600)] = 20.0
    capacity: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    no_pass_alarm: bool = False

    @property
    def cosine_min(self) -> float:
        return self.threshold if self.measured_threshold is None else self.measured_threshold


def mistakes_of(gate: Gate) -> Iterator[str]:
    """What single values cannot show; each names its key."""
    people = [kind for kind in gate.reads if kind != "plate"]
    if not gate.reads:
        yield "reads: is empty; face is never the only way in: expected card, qr, plate or appointment"
    elif gate.face != "off" and not people:
        yield 'face: a gate that reads only plates has no second channel for people: expected "off"'
    if gate.face == "off" and gate.liveness == "required":
        yield 'liveness: nothing is looked at while face is "off": expected "off"'
    if gate.measured_threshold is not None and gate.threshold != THRESHOLD_MIN:
        yield "threshold: give either this or measured_threshold"
    if gate.capacity is not None and gate.direction == "out":
        yield "capacity: people are counted where they go in"

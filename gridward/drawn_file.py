"""Drawings from files, for the commands that need them: what cannot be used is one line, with what to do."""

from collections.abc import Callable
from pathlib import Path

from geofences.drawings import Setting, Verdict, check, read
from geofences.drawings_model import Drawing, DrawingError
from geofences.drawings_setting import converted
from geofences.projection import Position
from gridward.refusal import refuse


def drawings_of(path: Path, to_wgs84: Callable[[Position], Position] | None = None) -> list[Drawing]:
    """As they are drawn, in WGS-84. Raises typer.Exit."""
    try:
        drawings = read(path.read_bytes())
    except OSError as error:
        refuse(f"{path}: {error.strerror}")
    except DrawingError as error:
        refuse(f"{path}: {error}")
    return drawings if to_wgs84 is None else [converted(drawing, to_wgs84) for drawing in drawings]


def whole(path: Path, drawings: list[Drawing]) -> list[Verdict]:
    """Their verdicts, when none is refused. Raises typer.Exit."""
    verdicts = check(drawings, Setting())
    for verdict in verdicts:
        if verdict.zone is None:
            refuse(f"{path}: {named(verdict)}: {verdict.problems[0]} (see gridward fence check {path})")
    return verdicts


def named(verdict: Verdict) -> str:
    return f"{verdict.index} {verdict.name or verdict.id}".strip()

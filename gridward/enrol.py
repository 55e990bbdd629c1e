"""Enrolling devices: `[[devices]]` entries are added to the end of an edge's file, whose comments and order stay.

Rules
- The new text is checked as the edge checks it (edge.config) before anything is written; a file that is wrong already
  is left as it is, too. Then it replaces the old one in one step, with its owner and mode.
- Who knocked without being enrolled is read from the edge's log or from the hub. Anyone who reaches a link can knock
  under any name, so nobody is enrolled from there without being named, or `--all`.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from devices.families import FAMILIES
from edge.config import Config, ConfigError, load
from gridward.toml_text import toml_text

LOG_EVENT = "device_not_enrolled"


class EnrolError(Exception):
    """It cannot be; the text is the one line to show."""


class Stranger(msgspec.Struct, frozen=True):
    """A device that knocked without being enrolled, when last and where."""

    device: str
    link: str = ""
    at: str = ""


class _LogLine(msgspec.Struct):
    event: str = ""
    device: str = ""
    link: str = ""
    at: str = ""


def read(path: Path) -> Config:
    """The edge's file; raises EnrolError."""
    try:
        return load(path, FAMILIES)
    except ConfigError as error:
        raise EnrolError(str(error)) from error


def strangers_of_log(lines: Iterable[bytes]) -> list[Stranger]:
    """From the lines of an edge's log, newest last; lines of anything else are passed over."""
    found = []
    for line in lines:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            said = msgspec.json.decode(line, type=_LogLine)
            if said.event == LOG_EVENT and said.device:
                found.append(Stranger(said.device, said.link, said.at))
    return found


def strangers_of_hub(events: Iterable[dict[str, Any]]) -> list[Stranger]:
    """From the hub's `unknown_device` events, newest first."""
    told = [(event["attributes"], event["observed_at"]) for event in events]
    found = [Stranger(said.get("device", ""), said.get("link", ""), at) for said, at in told]
    return [stranger for stranger in reversed(found) if stranger.device]


def not_enrolled(strangers: Iterable[Stranger], config: Config) -> list[Stranger]:
    """Each once, as it knocked last, without those that the file has by now."""
    enrolled = {device.id for device in config.devices}
    newest = {stranger.device: stranger for stranger in strangers}
    return [stranger for device, stranger in newest.items() if device not in enrolled]


def enrol(path: Path, devices: Sequence[dict[str, Any]]) -> Config:
    """Add `devices` (keys of a `[[devices]]` entry) to the file; raises EnrolError, and then nothing is changed."""
    file = path.resolve()
    try:
        before = file.read_bytes()
        text = before.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise EnrolError(f"{path}: {getattr(error, 'strerror', '') or 'not text'}") from error
    newline = "\r\n" if "\r\n" in text else "\n"
    added = toml_text({"devices": list(devices)}).replace("\n", newline)
    after = text + ("" if not text or text.endswith("\n") else newline) + added
    try:
        return _replaced(file, before, after.encode())
    except ConfigError as error:
        raise EnrolError(str(error)) from error
    except OSError as error:
        raise EnrolError(f"{path}: {error.strerror}") from error


def _replaced(file: Path, before: bytes, after: bytes) -> Config:
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    new = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(after)
            out.flush()
            os.fsync(out.fileno())
        try:
            config = load(new, FAMILIES)
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(new), str(file))) from error
        shutil.copymode(file, new)
        with suppress(PermissionError):
            os.chown(new, file.stat().st_uid, file.stat().st_gid)
        if file.read_bytes() != before:
            raise ConfigError(f"{file}: somebody else changed it just now; try again")
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
    return config

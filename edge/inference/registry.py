"""The models that lie here: a folder a model, checked against its manifest whenever it is opened.

Rules
- What is missing is said plainly, and whatever needed it goes without: a model that is not there never grants.
- A file whose size or hash is not that of its manifest is refused, and so is what an ONNX file may not hold
  (edge.inference.onnx_file). The bytes that were checked are the bytes that are given out.
- A model that was disabled stays so, with who and why, until somebody enables it.
"""

import os
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from edge import small_file
from edge.inference import onnx_file
from edge.inference.manifest import FILE_BYTES_MAX, Manifest, ModelFile

DISABLED = "disabled.json"
Standing = Literal["ready", "missing", "wrong", "disabled"]


class ModelUnusable(Exception):
    """It must not be used; the text says why."""


class Disabled(Struct, frozen=True):
    by: str
    reason: str
    at: datetime


class Registry:
    """Over the folder that the operator chose."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, manifest: Manifest, file: ModelFile) -> Path:
        return self._folder / manifest.name / file.name

    def standing(self, manifest: Manifest) -> tuple[Standing, str]:
        """(how it stands, why) without reading more than sizes."""
        if (off := self.disabled().get(manifest.name)) is not None:
            return "disabled", f"by {off.by}: {off.reason}"
        for file in manifest.files:
            try:
                size = self.path(manifest, file).stat().st_size
            except FileNotFoundError:
                return "missing", f"gridward models fetch {manifest.name}" if manifest.wheel else "supplied by you"
            if size != file.bytes:
                return "wrong", f"{file.name}: {size:,} bytes, {file.bytes:,} expected"
        return "ready", ""

    def open(self, manifest: Manifest) -> dict[str, bytes]:
        """Its files by name, checked. Raises ModelUnusable."""
        if (off := self.disabled().get(manifest.name)) is not None:
            raise ModelUnusable(f"{manifest.name} is disabled by {off.by}: {off.reason}")
        return {file.name: self._checked(manifest, file) for file in manifest.files}

    def put(self, manifest: Manifest, file: ModelFile, content: bytes) -> None:
        """Take a file that is right. Raises ModelUnusable, OSError."""
        check(manifest, file, content)
        small_file.write(self.path(manifest, file), content)

    def disabled(self) -> Mapping[str, Disabled]:
        """Raises ModelUnusable when the list cannot be read: then nothing may run."""
        try:
            return msgspec.json.decode((self._folder / DISABLED).read_bytes(), type=dict[str, Disabled])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise ModelUnusable(f"{self._folder / DISABLED}: {error}") from error

    def disable(self, name: str, off: Disabled) -> None:
        self._write({**self.disabled(), name: off})

    def enable(self, name: str) -> None:
        self._write({known: off for known, off in self.disabled().items() if known != name})

    def _write(self, disabled: Mapping[str, Disabled]) -> None:
        small_file.write(self._folder / DISABLED, msgspec.json.encode(disabled))

    def _checked(self, manifest: Manifest, file: ModelFile) -> bytes:
        path = self.path(manifest, file)
        try:
            with path.open("rb") as opened:
                if os.fstat(opened.fileno()).st_size > FILE_BYTES_MAX:
                    raise ModelUnusable(f"{path}: larger than {FILE_BYTES_MAX // 2**20} MiB")
                content = opened.read(FILE_BYTES_MAX)
        except OSError as error:
            raise ModelUnusable(f"{path}: {error.strerror}") from error
        check(manifest, file, content)
        return content


def check(manifest: Manifest, file: ModelFile, content: bytes) -> None:
    """Raises ModelUnusable."""
    where = f"{manifest.name}: {file.name}"
    if len(content) != file.bytes:
        raise ModelUnusable(f"{where}: {len(content):,} bytes, {file.bytes:,} expected")
    if sha256(content).hexdigest() != file.sha256:
        raise ModelUnusable(f"{where}: another file than the one of the manifest (sha256)")
    if file.name.endswith(".onnx"):
        try:
            onnx_file.check(content)
        except onnx_file.NotAModel as error:
            raise ModelUnusable(f"{where}: {error}") from None

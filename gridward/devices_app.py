"""`gridward devices …`: who is enrolled, enrol, listen, command. Errors are one line: exit code 2 for what was asked
wrongly, 1 for what the world refused."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gridward import clock
from gridward.refusal import REFUSED, refuse

if TYPE_CHECKING:
    from edge.link_config import Link
    from gridward.enrol import Stranger
    from gridward.hub_client import HubClient

KNOCKED_WITHIN = timedelta(days=1)
app = typer.Typer(
    help="Devices of an edge: list, enrol, test, command.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog="\b\n"
    "Example: gridward devices test gbt26875 --tcp 9001\n"
    "         gridward devices enrol site/edge.toml gbt26875:889 --zone hall-a\n"
    "         gridward devices list site/edge.toml --hub http://127.0.0.1:8460 --user operator",
)
FILE_ARGUMENT = typer.Argument(help="The edge's TOML file.", metavar="FILE", show_default=False)
Hub = Annotated[str, typer.Option("--hub", help="Address of the hub, such as http://127.0.0.1:8460.")]
User = Annotated[str, typer.Option("--user", help="Who logs in to the hub.")]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="Its password; asked for otherwise.", show_default=False)
]


@app.command(
    "list",
    short_help="Who is enrolled; with --hub last seen, zone and alarms.",
    epilog="\b\nExample: gridward devices list site/edge.toml\n"
    "         gridward devices list --hub http://127.0.0.1:8460 --user operator",
)
def list_(
    file: Annotated[Path | None, FILE_ARGUMENT] = None,
    hub: Hub = "",
    user: User = "operator",
    password_file: PasswordFile = None,
) -> None:
    """Devices of an edge's file, of a hub, or of the file with what the hub knows of each: last seen, zone, alarms."""
    if file is None and not hub:
        refuse("name the edge's FILE, or --hub, or both")
    enrolled = _enrolled(file) if file else {}
    seen: dict[str, dict[str, Any]] = {}
    if hub:
        with _hub(hub, user, password_file) as client:
            seen = {device["device"]: device for device in client.devices()}
    table = Table()
    for heading in ("device", "name", "zone", *(("last seen", "alarms") if hub else ())):
        table.add_column(heading, overflow="fold")  # an id that is cut off helps nobody
    for device in enrolled or seen:
        own, told = enrolled.get(device, ("", "")), seen.get(device, {})
        row = [device, own[0] or told.get("name") or "", told.get("zone") or own[1]]
        row += [told.get("last_seen") or "never", ", ".join(told.get("alarms", ()))] if hub else []
        table.add_row(*map(escape, row))
    Console().print(table if table.row_count else "no devices")


@app.command(
    short_help="Add devices to an edge's file.",
    epilog="\b\n"
    "Example: gridward devices enrol site/edge.toml gbt26875:889 --name 'Panel, hall A' --zone hall-a\n"
    "         gridward devices enrol site/edge.toml --from-log edge.log\n"
    "         gridward devices enrol site/edge.toml --unknown --hub http://127.0.0.1:8460 --all",
)
def enrol(  # noqa: PLR0917 - each is a named option
    file: Annotated[Path, FILE_ARGUMENT],
    device: Annotated[str, typer.Argument(help="family:native-id.", metavar="[DEVICE]")] = "",
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    zone: Annotated[str, typer.Option(help="The zone it is in.")] = "",
    longitude: Annotated[float | None, typer.Option(help="WGS-84 degrees.", show_default=False)] = None,
    latitude: Annotated[float | None, typer.Option(help="WGS-84 degrees.", show_default=False)] = None,
    from_log: Annotated[Path | None, typer.Option(help="Who knocked: a log of the edge.", show_default=False)] = None,
    unknown: Annotated[bool, typer.Option("--unknown", help="Who knocked in the last day: ask the hub.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Enrol everyone who knocked.")] = False,
    hub: Hub = "",
    user: User = "operator",
    password_file: PasswordFile = None,
) -> None:
    """Add a device to an edge's file, whose comments and order stay. It is checked first, as the edge does.

    With --from-log or --unknown and no DEVICE: show who knocked without being enrolled, and enrol them with --all.
    """
    from gridward import enrol as enrolling

    if device and (from_log or unknown or all_):
        refuse("a DEVICE, or --from-log or --unknown, not both")
    try:
        config = enrolling.read(file)
        strangers: list[Stranger] = []
        if from_log:
            strangers += enrolling.strangers_of_log(_log_lines(from_log))
        if unknown:
            with _hub(hub, user, password_file) as client:
                since = clock.now() - KNOCKED_WITHIN
                strangers += enrolling.strangers_of_hub(client.unknown_devices(config.gateway, since))
        if not device and not from_log and not unknown:
            refuse("name a DEVICE, or where to look for one: --from-log or --unknown")
        strangers = enrolling.not_enrolled(strangers, config)
        ids = [device] if device else [stranger.device for stranger in strangers]
        if not device and not all_:
            _show(strangers)
            return
        given = {"name": name, "zone": zone, "longitude": longitude, "latitude": latitude}
        keys = {key: value for key, value in given.items() if value not in ("", None)}
        if ids:
            enrolling.enrol(file, [{"id": one, **keys} for one in ids])
        typer.echo(f"{file}: {len(ids)} enrolled; an edge that runs hears them after a restart")
    except enrolling.EnrolError as error:
        refuse(str(error))


@app.command(
    short_help="Listen on a link and show what devices say.",
    epilog="\b\n"
    "Example: gridward devices test gbt26875 --tcp 9001\n"
    "         gridward devices test nmea --serial /dev/ttyUSB0 --baud 4800 --seconds 20\n"
    "         gridward devices test --edge site/edge.toml --link cameras",
)
def test(  # noqa: PLR0917 - each is a named option
    family: Annotated[str, typer.Argument(help="A device family.", metavar="[FAMILY]")] = "",
    tcp: Annotated[int | None, typer.Option(help="Listen on this TCP port.", min=0, max=65535)] = None,
    udp: Annotated[int | None, typer.Option(help="Listen on this UDP port.", min=0, max=65535)] = None,
    serial: Annotated[str, typer.Option(help="Read this serial line.")] = "",
    baud: Annotated[int, typer.Option(help="Of the serial line.")] = 9600,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 - devices are elsewhere
    settings: Annotated[Path | None, typer.Option(help="TOML with the family's settings.", show_default=False)] = None,
    edge: Annotated[Path | None, typer.Option(help="Take a link of this edge's file.", show_default=False)] = None,
    link: Annotated[str, typer.Option(help="Its name there.")] = "",
    seconds: Annotated[float, typer.Option(help="For how long.", min=0.1, max=86_400)] = 60,
) -> None:
    """Listen on a link with everyone enrolled: one JSON line for all that a device says, as `gridward decode`.

    Devices are answered as by an edge, and nothing is kept: an alarm that is given now reaches nobody. The edge must
    not hold the same port. Exit code 1 when nothing was heard.
    """
    from edge.log import LogLines
    from gridward.listening import ListenError, link_of, link_of_file, listen

    servers = {"tcp_server": tcp, "udp_server": udp}
    places: list[dict[str, Any]] = [
        {"kind": kind, "host": host, "port": port} for kind, port in servers.items() if port is not None
    ]
    places += [{"kind": "serial", "path": serial, "baud": baud}] if serial else []
    time_zone = "Asia/Shanghai"
    try:
        chosen: Link
        if edge is not None and link and not family and not places:
            chosen, time_zone = link_of_file(edge, link)
        elif edge is None and family and len(places) == 1:
            chosen = link_of(family, places[0], settings.read_text() if settings else "")
        else:
            refuse("a FAMILY and one of --tcp, --udp, --serial; or --edge and --link")
        with LogLines() as lines:
            lines.begin()
            heard = asyncio.run(listen(chosen, time_zone, seconds, _tell, lambda port: _begun(port, seconds)))
    except ListenError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{settings}: {error.strerror}")
    raise typer.Exit(0 if heard else REFUSED)


@app.command(
    epilog="\b\n"
    "Example: gridward devices command gw-1 actuator.set siren off --hub http://127.0.0.1:8460\n"
    "         gridward devices command gw-1 device.interval watch:8800000015 '{\"seconds\": 600}' --hub …",
)
def command(  # noqa: PLR0917 - each is named
    gateway: Annotated[str, typer.Argument(help="The gateway that is to act.", show_default=False)],
    action: Annotated[
        str,
        typer.Argument(
            help="actuator.set, or device. and a command of the device's family (docs/families).", show_default=False
        ),
    ],
    target: Annotated[str, typer.Argument(help="Name of the actuator, or id of the device.", show_default=False)],
    value: Annotated[str, typer.Argument(help="on or off; of a device the arguments, as JSON.", show_default=False)],
    hub: Hub = "",
    user: User = "operator",
    password_file: PasswordFile = None,
) -> None:
    """Send a command through the hub and print its result. Exit code 0 when it is confirmed or accepted."""
    with _hub(hub, user, password_file) as client:
        found = client.command(gateway, action, target, value)
    typer.echo(": ".join(filter(None, (found["result"], found.get("reason")))))
    raise typer.Exit(0 if found["result"] in ("confirmed", "accepted") else REFUSED)


@contextmanager
def _hub(url: str, user: str, password_file: Path | None) -> "Iterator[HubClient]":
    """Logged in, and logged out again."""
    from gridward.hub_client import HubClient, HubError

    if not url.startswith(("http://", "https://")):
        refuse("--hub: the hub's address, such as http://127.0.0.1:8460")
    password = _password(user, password_file)
    client = HubClient(url)
    try:
        client.login(user, password)
        try:
            yield client
        finally:
            with suppress(HubError):
                client.logout()
    except HubError as error:
        refuse(f"hub: {error}", REFUSED)
    finally:
        client.close()


def _password(user: str, file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            refuse(f"{file}: {getattr(error, 'strerror', '') or 'not text'}")
    if not sys.stdin.isatty():
        refuse("--password-file: needed where nobody can be asked")
    password: str = typer.prompt(f"Password of {user}", hide_input=True)
    return password


def _enrolled(file: Path) -> dict[str, tuple[str, str]]:
    """Device -> (name, zone)."""
    from gridward import enrol as enrolling

    try:
        return {device.id: (device.name, device.zone) for device in enrolling.read(file).devices}
    except enrolling.EnrolError as error:
        refuse(str(error))


def _log_lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError as error:
        refuse(f"{path}: {error.strerror}")


def _show(strangers: "list[Stranger]") -> None:
    for stranger in strangers:
        typer.echo("  ".join(filter(None, (stranger.device, stranger.link, stranger.at))))
    if not strangers:
        typer.echo("nobody knocked who is not enrolled", err=True)


def _begun(port: int, seconds: float) -> None:
    where = f" on port {port}" if port else ""
    typer.echo(f"listening{where} for {seconds:g} s; nothing is kept", err=True)


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

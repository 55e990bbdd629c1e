"""`gridward fence …`: drawings checked before they are loaded, tracks replayed against them. Exit code 2 for what was
asked wrongly, 1 where something is refused."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from devices.datum import TO_WGS84, Datum
from gridward.refusal import REFUSED, refuse

if TYPE_CHECKING:
    from geofences.drawings import Verdict
    from geofences.drawings_setting import Reference
    from geofences.plan import Plan
    from geofences.step import Told
    from geofences.together import Together
    from geofences.track import Crossing, Fix

COLOURS = {"ok": "green", "warned": "yellow", "refused": "red"}
app = typer.Typer(
    help="Geofences: check drawings, replay tracks against them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog="\b\nExample: gridward fence check zones.geojson\n"
    "         gridward fence replay --zones zones.geojson --fixes yesterday.csv --summary",
)
Near = Annotated[str, typer.Option("--near", metavar="LON,LAT", help="A place of the site: finds swapped coordinates.")]


@app.command(
    short_help="A verdict for each feature of drawings.",
    epilog="\b\nExample: gridward fence check zones.geojson canals.kml --near 120.49,30.74\n"
    "         gridward fence check drawn.wkt --width-m 20 --repair mended.geojson\n"
    "         gridward fence check amap.geojson --reference site.geojson\n"
    "         gridward fence check amap.geojson --datum gcj02 --repair wgs84.geojson",
)
def check(  # noqa: PLR0917 - each is a named option
    files: Annotated[list[Path], typer.Argument(help="GeoJSON, KML or WKT.", metavar="FILE...", show_default=False)],
    near: Near = "",
    width_m: Annotated[float | None, typer.Option(help="Of lines without a width.", show_default=False)] = None,
    radius_m: Annotated[float | None, typer.Option(help="Of points without a radius.", show_default=False)] = None,
    repair: Annotated[
        Path | None, typer.Option("--repair", metavar="OUT", help="Mend what can be, show how, write it here.")
    ] = None,
    datum: Annotated[
        Datum, typer.Option("--datum", help="What the files are drawn in; converted to WGS-84 before they are judged.")
    ] = "wgs84",
    reference: Annotated[
        Path | None,
        typer.Option("--reference", metavar="FILE", help="Areas known to be right: finds drawings in another datum."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line for each feature.")] = False,
) -> None:
    """Reads drawings as the hub does and names each feature that is broken, with the vertex. Exit code 1 when one is
    refused."""
    from geofences.drawings import Setting
    from geofences.drawings import check as judge  # shapely: only where somebody draws
    from gridward.drawn_file import drawings_of

    setting = Setting(
        near=_place(near),
        width_m=width_m,
        radius_m=radius_m,
        reference=_reference(reference) if reference else None,
        datums=TO_WGS84,
    )
    verdicts: list[Verdict] = []
    for file in files:
        found = judge(drawings_of(file, TO_WGS84.get(datum)), setting, repair=repair is not None)
        _show(file, found, as_json)
        verdicts += found
    if repair is not None:
        _write(repair, verdicts)
    if any(verdict.verdict == "refused" for verdict in verdicts):
        raise typer.Exit(REFUSED)


@app.command(
    short_help="What zones would have told of recorded tracks.",
    epilog="\b\nExample: gridward fence replay --zones zones.geojson --fixes walk.gpx\n"
    "         gridward fence replay --zones zones.geojson --fixes yesterday.csv --summary",
)
def replay(
    zones: Annotated[Path, typer.Option("--zones", help="GeoJSON, KML or WKT; `rules` in a feature's properties.")],
    fixes: Annotated[Path, typer.Option("--fixes", help="CSV, GPX or GeoJSON tracks.")],
    summary: Annotated[bool, typer.Option("--summary", help="Counts for each zone and kind instead.")] = False,
) -> None:
    """Tries zones on recorded tracks before they are published: each event is a JSON line, as an edge would tell it. A
    GeoJSON file may also have `moving_zones` and `proximity` beside its features, as the site file has them."""
    from gridward.fixes_file import FixesError, read

    counts: Counter[tuple[str, str]] = Counter()
    heard: set[str] = set()
    try:
        for name, told in _told(_plan(zones), _together(zones), read(fixes)):
            heard.add(name)
            counts.update((crossing.zone, crossing.kind) for crossing in told)
            for crossing in () if summary else told:
                typer.echo(_line(name, crossing))
    except FixesError as error:
        refuse(str(error))
    if summary:
        _show_counts(counts, len(heard))


@app.command(
    short_help="An outline cut into a tree of responsibility; or such a tree checked.",
    epilog="\b\nExample: gridward fence grid village.geojson --parts 6 --parts 5 --out grid.geojson\n"
    "         gridward fence grid village.geojson --cut streets.geojson --parts 1 --parts 4 --out grid.geojson\n"
    "         gridward fence grid grid.geojson --check",
)
def grid(
    file: Annotated[Path, typer.Argument(help="The outline: GeoJSON, KML or WKT.", metavar="FILE")],
    parts: Annotated[
        list[int] | None,
        typer.Option(
            help="Into how many cells each of the level above is cut; again for each level.", show_default="4 4"
        ),
    ] = None,
    cut: Annotated[
        Path | None,
        typer.Option("--cut", metavar="FILE", help="Lines that cut; property `level`: of the cells they make."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="GeoJSON; else it is printed.")] = None,
    check: Annotated[bool, typer.Option("--check", help="FILE is a grid: find gaps and overlaps in it.")] = False,
) -> None:
    """Cells of each level share their borders exactly, so that every place has one cell of each level, and one person
    who answers for it."""
    from gridward import fence_grid  # shapely: only where somebody draws

    if check:
        fence_grid.judge(file)
    else:
        fence_grid.make(file, tuple(parts or (4, 4)), cut, out)


def _told(plan: "Plan", together: "Together", fixes: "Iterable[tuple[str, Fix]]") -> "Iterator[tuple[str, Told]]":
    """Of each fix its track and what it tells; what several tracks come to, of the track that it is about."""
    from geofences.crowds import Crowds
    from geofences.late import taken
    from geofences.track import Track

    tracks: dict[str, Track] = {}
    crowds = Crowds(plan, {}, {})
    for name, fix in fixes:
        tracks[name], told = taken(tracks.get(name, Track()), fix, plan)
        yield name, (*told, *crowds.moved(name, tracks[name]))
        for whose, crossing in (*together.due(fix.at), *together.moved(name, fix)) if together else ():
            yield whose, (crossing,)


def _together(path: Path) -> "Together":
    """What a GeoJSON file says beside its features."""
    from geofences.together import Beside, Together

    if path.suffix.lower() not in {".geojson", ".json"}:
        return Together()
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Beside)
    except msgspec.MsgspecError as error:
        refuse(f"{path}: {error}")
    return Together(found.moving_zones, found.proximity, 1)


def _reference(path: Path) -> "Reference":
    from geofences.drawings import Setting, check
    from geofences.drawings_setting import Reference
    from gridward.drawn_file import drawings_of

    zones = [verdict.zone for verdict in check(drawings_of(path), Setting()) if verdict.zone is not None]
    if not zones:
        refuse(f"{path}: has no area that could be a reference (see gridward fence check {path})")
    polygons = [
        polygon
        for zone in zones
        for polygon in (zone["coordinates"] if zone["type"] == "MultiPolygon" else [zone["coordinates"]])
    ]
    return Reference(polygons)


def _plan(path: Path) -> "Plan":
    from geofences.cells import Cells
    from geofences.plan import Plan
    from geofences.rules import Rules
    from geofences.zones import ZoneError, zone
    from gridward.drawn_file import drawings_of, named, whole

    verdicts = whole(path, drawings_of(path))
    shapes, rules = [], {}
    for verdict in verdicts:
        name = verdict.id or verdict.name or f"feature {verdict.index}"
        try:
            shapes.append(zone(name, verdict.zone))
            rules[name] = msgspec.convert(_rules(verdict.properties), Rules)
        except (ZoneError, msgspec.MsgspecError) as error:
            refuse(f"{path}: {named(verdict)}: {error}")
    try:
        return Plan(Cells(shapes), rules)
    except ZoneError as error:
        refuse(f"{path}: {error}")


def _rules(properties: dict[str, Any]) -> Any:
    """KML has only texts."""
    found = properties.get("rules", {})
    return msgspec.json.decode(found) if isinstance(found, str) else found


def _line(track: str, crossing: "Crossing") -> bytes:
    return msgspec.json.encode({"track": track} | msgspec.to_builtins(crossing))


def _show(file: Path, verdicts: "list[Verdict]", as_json: bool) -> None:
    if as_json:
        for verdict in verdicts:
            said = {"file": str(file), "verdict": verdict.verdict} | msgspec.to_builtins(verdict)
            typer.echo(msgspec.json.encode(said))
        return
    from gridward.drawn_file import named

    table = Table(title=str(file), title_justify="left")
    for heading in ("feature", "verdict", "what is to be known"):
        table.add_column(heading, overflow="fold")
    for verdict in verdicts:
        done = [f"mended: {words}" for words in verdict.repair.done] if verdict.repair else []
        words = "\n".join([*(f"{each.severity}: {each}" for each in verdict.problems), *done])
        colour = COLOURS[verdict.verdict]
        table.add_row(escape(named(verdict)), f"[{colour}]{verdict.verdict}[/{colour}]", escape(words))
    Console().print(table)


def _show_counts(counts: Counter[tuple[str, str]], tracks: int) -> None:
    table = Table(title=f"{tracks} tracks, {counts.total()} events", title_justify="left")
    for heading in ("zone", "event", "times"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "times" else "left")
    for (zone, kind), times in sorted(counts.items()):
        table.add_row(escape(zone), kind, str(times))
    Console().print(table)


def _write(path: Path, verdicts: "list[Verdict]") -> None:
    features = [
        {"type": "Feature", "id": verdict.id or None, "properties": verdict.properties, "geometry": verdict.zone}
        for verdict in verdicts
        if verdict.zone is not None
    ]
    try:
        path.write_bytes(msgspec.json.encode({"type": "FeatureCollection", "features": features}))
    except OSError as error:
        refuse(f"{path}: {error.strerror}")
    typer.echo(f"{len(features)} of {len(verdicts)} features written to {path}", err=True)


def _place(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    with suppress(ValueError):
        longitude, latitude = map(float, text.split(","))
        if abs(longitude) <= 180 and abs(latitude) <= 90:
            return longitude, latitude
    refuse(f"--near {text}: expected longitude,latitude such as 120.49,30.74")

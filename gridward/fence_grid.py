"""`gridward fence grid`: an outline becomes a tree of cells, and a tree that is there is checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from shapely import union_all
from shapely.errors import GEOSException
from shapely.geometry import LineString, mapping, shape

from geofences.drawings import Verdict
from geofences.grid import Cell, GridError, area_m2, build, check_grid
from gridward.drawn_file import drawings_of, whole
from gridward.refusal import REFUSED, refuse


def make(outline: Path, parts: Sequence[int], cut: Path | None, out: Path | None) -> None:
    """Raises typer.Exit."""
    area = union_all([shape(verdict.zone) for verdict in whole(outline, drawings_of(outline))])
    try:
        cells = build(area, parts, _cuts(cut) if cut else {})
    except GridError as error:
        refuse(f"{outline}: {error}")
    features = [_feature(cell) for cell in cells]
    text = msgspec.json.encode({"type": "FeatureCollection", "features": features})
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_bytes(text)
    except OSError as error:
        refuse(f"{out}: {error.strerror}")
    levels = [[area_m2(cell.area) for cell in cells if cell.level == level] for level in range(1, cells[-1].level + 1)]
    table = Table(title=str(out), title_justify="left")
    for heading in ("level", "cells", "smallest, ha", "largest, ha"):
        table.add_column(heading, justify="right")
    for level, areas in enumerate(levels, 1):
        table.add_row(str(level), str(len(areas)), f"{min(areas) / 1e4:,.1f}", f"{max(areas) / 1e4:,.1f}")
    Console().print(table)


def judge(grid: Path) -> None:
    """Raises typer.Exit: 1 when something is wrong."""
    try:
        cells = [_cell(verdict) for verdict in whole(grid, drawings_of(grid))]
        faults = check_grid(cells)
    except GridError as error:
        refuse(f"{grid}: {error}", REFUSED)
    for fault in faults:
        which = f"{fault.one} and {fault.other}" if fault.other else fault.one
        where = f"at {fault.longitude:.7f},{fault.latitude:.7f}"
        size = f", {fault.area_m2:,.1f} m²" if fault.area_m2 else ""
        Console().print(f"[red]wrong[/red] {escape(which)}: {escape(fault.text)} {where}{size}", soft_wrap=True)
    if faults:
        raise typer.Exit(REFUSED)
    typer.echo(f"{grid}: {len(cells)} cells, without gaps and overlaps")


def _cuts(path: Path) -> dict[int, list[LineString]]:
    """Level -> the lines that make its cells, by the property `level` (2 without one)."""
    cuts: dict[int, list[LineString]] = {}
    for drawing in drawings_of(path):
        lines = {"LineString": [drawing.coordinates], "MultiLineString": drawing.coordinates}.get(drawing.kind, [])
        try:
            made = [LineString(line) for line in lines]
            level = int(drawing.properties.get("level", 2))
        except (ValueError, TypeError, GEOSException) as error:
            refuse(f"{path}: feature {drawing.index}: {error}")
        cuts.setdefault(level, []).extend(made)
    if not any(cuts.values()):
        refuse(f"{path}: has no lines")
    return {level: lines for level, lines in cuts.items() if lines}


def _feature(cell: Cell) -> dict[str, Any]:
    properties = {"id": cell.id, "name": f"Grid {cell.id}", "purpose": "grid", "level": cell.level}
    return {
        "type": "Feature",
        "id": cell.id,
        "properties": properties | {"parent": cell.parent},
        "geometry": mapping(cell.area),
    }


def _cell(verdict: Verdict) -> Cell:
    level, own = verdict.properties.get("level"), verdict.id or str(verdict.properties.get("id", ""))
    if not isinstance(level, int) or not own:
        raise GridError(f"feature {verdict.index}: a cell needs the properties id, level and parent")
    return Cell(own, level, str(verdict.properties.get("parent", "")), shape(verdict.zone))

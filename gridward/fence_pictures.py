"""The pictures and the page docs/geofences.md, from gridward.fence_scenes. Run by `make docs-pictures` and `make docs`.

A picture is an SVG of a few kilobytes: readable at 360 pixels, light and dark by what the reader prefers.
"""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from gridward.fence_scenes import PLANE, ROAD, SCENES, Mark, Place, Scene, played

PAGE = Path("docs/geofences.md")
PICTURES = Path("docs/images/geofences")
WIDTH, HEIGHT = 480, 256
SCALE, LEFT, BOTTOM = 1.53, 10, 246  # pixels a metre; where 0/0 is
LETTER, LINE = 8.9, 19.0  # pixels
STYLE = """\
text{font:15px system-ui,sans-serif;fill:#1b1f24}.b{fill:#fff}.z{fill:#0b6e9922;stroke:#0b6e99;stroke-width:2}
.n{fill:#0b6e99}.w{fill:none;stroke:#6b7680;stroke-width:1.6}.p{fill:#6b7680}.a{fill:#6b768018;stroke:none}
.e{fill:#c2410c;stroke:#fff;stroke-width:1.5}.k{font-weight:600;fill:#9a3412}
.l{fill:none;stroke:#0b6e99;stroke-dasharray:6 5}
.h{fill:none;stroke:#c2410c;stroke-width:1}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.b{fill:#0d1117}.z{fill:#38a3d133;stroke:#38a3d1}.n{fill:#7cc7e8}
.w{stroke:#9aa5ad}.p{fill:#9aa5ad}.a{fill:#9aa5ad22}.e{fill:#fb923c;stroke:#0d1117}.k{fill:#fdba74}
.l{stroke:#38a3d1}.h{stroke:#fb923c}}"""

Box = tuple[float, float, float, float]

HEAD = """\
# Geofences

Generated from `gridward/fence_scenes.py` by `make docs-pictures`. Do not edit. What the pictures show was told by the
engine itself: the same code runs at every edge and at the hub.

A zone is drawn (a polygon, a circle, a corridor, with holes, in several parts) and has rules; where nothing is said the
defaults hold, which act on the first sign and do not flap. Rules stand in the [site file](install.md) under
`[zones.rules]`, or come with a zone drawn [over the API](api.md#draw-a-zone). Edges obey them with or without the hub
and tell each event as an Event `zone_…` of the device: `since` when, `why`, how certain, which version of the zones,
and where.

**Before you publish a zone**
```sh
gridward fence check zones.geojson --near 120.49,30.74        # each feature: what is wrong, and at which vertex
gridward fence check amap.geojson --datum gcj02 --repair wgs84.geojson
gridward fence replay --zones zones.geojson --fixes yesterday.csv --summary   # what yesterday's tracks would have told
gridward fence grid village.geojson --parts 6 --parts 5 --out grid.geojson    # a tree of responsibility, without gaps
```
In the pictures: blue the zone, grey a track and its reports, orange what is told, with minutes and seconds.
"""
TAIL = """\
## Also
- **Postures** (`postures = ["heightened"]`): in force only while the site is in one of them.
- **Parents** (`parent = "ring-1"`): whoever is in a room is in its building, whatever the building's own shape says.
- **Grids**: zones of the purpose `grid` with `rules.parent`; a site file whose cells gap or overlap is refused, with
  the two cells, the place and the area. `is_place = false` keeps a cell from being "where it happened".
- **Jumps**: a report from farther away than 600 km/h allows is believed when three in a row agree.
- **Restarts**: who is inside what is kept on the edge's disk with the events that told so.
"""


def pages() -> dict[Path, str]:
    """The page and its pictures: place below the repository -> text."""
    return {PAGE: page()} | {PICTURES / f"{scene.name}.svg": picture(scene) for scene in SCENES}


def page() -> str:
    return HEAD + "".join(_section(scene) for scene in SCENES) + "\n" + TAIL


def _section(scene: Scene) -> str:
    alt = f"{scene.title}: {', '.join(_said(mark) for mark in played(scene) if mark.kind in scene.kinds)}"
    return (
        f"\n## {scene.title}\n{scene.words}\n\n![{alt}](images/geofences/{scene.name}.svg)\n"
        f"```toml\n{scene.setting}\n```\n"
    )


def picture(scene: Scene) -> str:
    marks = [mark for mark in played(scene) if mark.kind in scene.kinds]
    taken: list[Box] = []
    parts = [*_zones(scene, taken), *_walks(scene, taken), *_marks(marks, taken)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{escape(scene.title)}</title><style>{STYLE}</style>",
            f'<rect class="b" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _zones(scene: Scene, taken: list[Box]) -> Iterator[str]:
    for each in scene.zones:
        yield f'<polygon class="z" points="{_points(each.ring)}"/>'
        corner = min(each.ring, key=lambda place: (place[0], -place[1]))
        yield _text(_x(corner[0]) + 6, _y(corner[1]) + 17, each.name, "n", taken)
        if each.rules.corridor is not None:
            yield f'<polyline class="l" points="{_points(ROAD)}"/>'
            for point in each.rules.corridor.checkpoints:
                east, north = PLANE.to_metres(*point.at)
                yield f'<circle class="z" cx="{_x(east)}" cy="{_y(north)}" r="{round(point.radius_m * SCALE)}"/>'
                yield _text(_x(east) + 22, _y(north) + 5, point.name, "n", taken)
    for track, metres in scene.circles:
        middle = scene.walks[track][len(scene.walks[track]) // 2]
        yield f'<circle class="z" cx="{_x(middle[1])}" cy="{_y(middle[2])}" r="{metres * SCALE:.0f}"/>'


def _walks(scene: Scene, taken: list[Box]) -> Iterator[str]:
    late = scene.late
    for name, walk in scene.walks.items():
        yield f'<polyline class="w" points="{_points([(x, y) for _, x, y in walk])}"/>'
        if scene.accuracy_m:
            yield from (
                f'<circle class="a" cx="{_x(x)}" cy="{_y(y)}" r="{scene.accuracy_m * SCALE:.0f}"/>' for _, x, y in walk
            )
        for at, x, y in walk:
            taken.append((_x(x) - 5, _y(y) - 5, _x(x) + 5, _y(y) + 5))
            yield f'<circle class="p" cx="{_x(x)}" cy="{_y(y)}" r="3.5"/>'
            if (level := scene.levels.get(at)) is not None:
                yield _text(_x(x) - 4, _y(y) + 20, str(level), "p", taken)
        if len(scene.walks) > 1:
            yield _text(_x(walk[0][1]) - 4, _y(walk[0][2]) - 9, name, "p", taken)
    for at, x, y in late:
        yield f'<circle class="h" cx="{_x(x)}" cy="{_y(y)}" r="6"/>'
        yield f'<circle class="p" cx="{_x(x)}" cy="{_y(y)}" r="3.5"/>'
        yield _text(_x(x) - 60, _y(y) + 22, f"of {_clock(at)}, comes last", "p", taken)


def _marks(marks: Sequence[Mark], taken: list[Box]) -> Iterator[str]:
    """Each where it happened, its words where there is room."""
    for mark in marks:
        x, y = _x(mark.place[0]), _y(mark.place[1])
        taken.append((x - 7, y - 7, x + 7, y + 7))
    for mark in marks:
        x, y = _x(mark.place[0]), _y(mark.place[1])
        words = _said(mark)
        at_x, at_y = _room(x, y, len(words) * LETTER, taken)
        if abs(at_y - y) > 2 * LINE:
            yield f'<line class="h" x1="{x}" y1="{y}" x2="{at_x + 4:.0f}" y2="{at_y - 5:.0f}"/>'
        yield f'<circle class="e" cx="{x}" cy="{y}" r="6"/>'
        yield _text(at_x, at_y, words, "k", taken)


def _room(x: float, y: float, width: float, taken: Sequence[Box]) -> Place:
    """Beside, above or below, as near as nothing else is in the way."""
    best, least = (x, y), 1e9
    for down in (-12.0, 24.0, -32.0, 44.0, -52.0, 64.0, -72.0, 84.0, -92.0, 104.0):
        for left in (0.0, width / 2, width):
            at_x = min(max(x + 8 - left, 4.0), WIDTH - width - 4)
            box = (at_x, y + down - 14, at_x + width, y + down + 4)
            if box[1] < 2 or box[3] > HEIGHT - 2:
                continue
            cost = sum(_overlap(box, other) for other in taken) * 10 + abs(down) + left / 20
            if cost < least:
                best, least = (at_x, y + down), cost
    return best


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def _said(mark: Mark) -> str:
    zone = f" {mark.zone}" if mark.zone in {"core", "middle"} else ""
    return f"{mark.kind.replace('_', ' ')}{zone} {_clock(mark.at)}"


def _clock(second: float) -> str:
    return f"{int(second) // 60}:{int(second) % 60:02}"


def _text(x: float, y: float, words: str, style: str, taken: list[Box]) -> str:
    taken.append((x, y - 14, x + len(words) * LETTER, y + 4))
    return f'<text class="{style}" x="{x:.0f}" y="{y:.0f}">{escape(words)}</text>'


def _points(places: Sequence[Place]) -> str:
    return " ".join(f"{_x(x)},{_y(y)}" for x, y in places)


def _x(metres: float) -> int:
    return round(LEFT + metres * SCALE)


def _y(metres: float) -> int:
    return round(BOTTOM - metres * SCALE)

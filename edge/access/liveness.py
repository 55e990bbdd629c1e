"""Is it a head or a picture of one? Judged by the five landmarks of a face over the frames of a challenge. Pure.

Why this way
- The gate asks to turn the head to one side, drawn at random. A head that turns moves its nose out of the plane of eyes
  and mouth. A picture that is turned, bent a little or moved stays (nearly) one plane, and what a camera sees of a
  plane from two sides differs by an affinity: one fitted to the landmarks of both frames leaves nothing over for a
  picture and a good part of the eye distance for a head. Eye distance is the unit: size and distance do not matter.
- A film of somebody who turns their head passes this, when it shows the side asked for. So a live face alone grants
  nothing (edge.access.decision), and a passive model's "spoof" outweighs it.

Landmarks: (x, y) in pixels of right eye, left eye, nose, right and left corner of the mouth, the person's own sides.
"""

from math import hypot
from typing import Literal

from msgspec import Struct

Point = tuple[float, float]
Landmarks = tuple[Point, Point, Point, Point, Point]
Side = Literal["left", "right"]

# By simulation of a head and of its picture, landmarks with an error of 1 pixel, turned by 30 degrees: the affinity
# leaves 0.07 or more for 99 of 100 heads and 0.044 or less for 99 of 100 pictures while the eyes are 60 pixels apart.
TURN_S_MAX = 6.0
EYES_PX_MIN = 45.0
AHEAD_MAX = 0.12  # of the eye distance: the nose so far off the middle still looks ahead
TURNED_MIN = 0.20
TURNED_FRAMES_MIN = 2
DEPTH_MIN = 0.055  # of the eye distance, left over by the best affinity: a head
DEPTH_FLAT = 0.045  # and a picture, the median of its frames
NARROWED = 0.88  # eye distance over face height, as a share of before: turned by 30 degrees, whatever it is

Liveness = Literal["live", "spoof", "not_checked"]


class Challenge(Struct, frozen=True):
    """Turn the head to your own `side`, asked at `asked_at` (seconds)."""

    side: Side
    asked_at: float


class Look(Struct, frozen=True):
    at: float
    landmarks: Landmarks


def judge(challenge: Challenge, looks: list[Look]) -> Liveness:
    """`looks`: the frames with a good face since shortly before it was asked, in order."""
    clear = [one for one in looks if eyes_px(one.landmarks) >= EYES_PX_MIN]
    ahead = [one for one in clear if abs(turn(one.landmarks)) <= AHEAD_MAX]
    within = [one for one in looks if ahead and ahead[0].at < one.at and 0 < one.at - challenge.asked_at <= TURN_S_MAX]
    if not within:
        return "not_checked"
    before = ahead[0].landmarks
    wanted = 1 if challenge.side == "left" else -1
    turned = [one for one in within if turn(one.landmarks) * wanted >= TURNED_MIN]
    deep = [one for one in turned if depth(before, one.landmarks) >= DEPTH_MIN]
    if len(deep) >= TURNED_FRAMES_MIN:
        return "live"
    narrow = [one for one in within if width(one.landmarks) <= NARROWED * width(before)]
    depths = sorted(depth(before, one.landmarks) for one in narrow)
    flat = len(narrow) >= TURNED_FRAMES_MIN and depths[len(depths) // 2] <= DEPTH_FLAT
    return "spoof" if flat else "not_checked"


def eyes_px(marks: Landmarks) -> float:
    return hypot(marks[1][0] - marks[0][0], marks[1][1] - marks[0][1])


def turn(marks: Landmarks) -> float:
    """How far the nose is off the middle between the eyes, in eye distances, along the line of the eyes; positive when
    the person looks to their own left, which is the right of the picture."""
    (ax, ay), (bx, by), (nx, ny) = marks[:3]
    ex, ey = bx - ax, by - ay
    square = ex * ex + ey * ey
    return ((nx - (ax + bx) / 2) * ex + (ny - (ay + by) / 2) * ey) / square if square else 0.0


def width(marks: Landmarks) -> float:
    """Eye distance over the distance from eyes to mouth."""
    (ax, ay), (bx, by), _, (cx, cy), (dx, dy) = marks
    height = hypot((ax + bx - cx - dx) / 2, (ay + by - cy - dy) / 2)
    return eyes_px(marks) / height if height else 0.0


def depth(before: Landmarks, after: Landmarks) -> float:
    """What the best affinity from one to the other leaves over, root mean square, in eye distances of `before`."""
    eyes = eyes_px(before)
    rows = [((x - before[0][0]) / eyes, (y - before[0][1]) / eyes, 1.0) for x, y in before] if eyes else []
    if not rows:
        return 0.0
    total = 0.0
    for axis in (0, 1):
        values = [(point[axis] - after[0][axis]) / eyes for point in after]
        fitted = _least_squares(rows, values)
        if fitted is None:
            return 0.0
        a, b, c = fitted
        total += sum((value - a * x - b * y - c) ** 2 for (x, y, _), value in zip(rows, values, strict=True))
    nearer = max(eyes_px(after) / eyes, 0.5)  # closer to the camera is larger, not deeper
    return float((total / len(rows)) ** 0.5) / nearer


def _least_squares(rows: list[tuple[float, float, float]], values: list[float]) -> tuple[float, float, float] | None:
    """By the normal equations and Cramer's rule; None when the points lie on one line."""
    m = [[sum(row[i] * row[j] for row in rows) for j in range(3)] for i in range(3)]
    v = [sum(row[i] * value for row, value in zip(rows, values, strict=True)) for i in range(3)]
    whole = _determinant(m)
    if abs(whole) < 1e-9:
        return None
    parts = [_determinant([[v[i] if k == j else m[i][k] for k in range(3)] for i in range(3)]) for j in range(3)]
    return parts[0] / whole, parts[1] / whole, parts[2] / whole


def _determinant(m: list[list[float]]) -> float:
    (a, b, c), (d, e, f), (g, h, i) = m
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)

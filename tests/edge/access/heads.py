"""A head in space and a picture of it, as a camera sees their five landmarks. Millimetres, radians, pixels."""

from math import cos, sin
from random import Random
from typing import Any

from edge.access.liveness import Landmarks, Point

# Right eye, left eye, nose, corners of the mouth: x to the right of the picture, y up, z towards the camera.
HEAD = ((-31.0, 0.0, 0.0), (31.0, 0.0, 0.0), (0.0, -38.0, 28.0), (-25.0, -72.0, 4.0), (25.0, -72.0, 4.0))
PRINT = tuple((x, y, 0.0) for x, y, _ in HEAD)
FOCAL_PX = 700.0

Solid = tuple[tuple[float, float, float], ...]


def seen(
    solid: Solid, yaw: float, random: Random, *, distance_mm: float = 600.0, noise_px: float = 0.7, roll: float = 0.0
) -> Landmarks:
    """Positive `yaw`: the person turns to their own left."""
    how: dict[str, Any] = {"yaw": yaw, "roll": roll, "distance_mm": distance_mm, "noise_px": noise_px}
    a, b, c, d, e = (_projected(point, **how, random=random) for point in solid)
    return a, b, c, d, e


def _projected(
    point: tuple[float, float, float], *, yaw: float, roll: float, distance_mm: float, noise_px: float, random: Random
) -> Point:
    x, y, z = point
    x, z = x * cos(yaw) + z * sin(yaw), z * cos(yaw) - x * sin(yaw)
    x, y = x * cos(roll) - y * sin(roll), x * sin(roll) + y * cos(roll)
    depth = distance_mm - z
    return (
        320 + FOCAL_PX * x / depth + random.gauss(0, noise_px),
        240 - FOCAL_PX * y / depth + random.gauss(0, noise_px),
    )

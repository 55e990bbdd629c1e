"""GCJ-02 and BD-09 against pairs that others have published."""

import warnings

import pytest

from devices.datum import TO_WGS84
from geofences.projection import distance

# (WGS-84, GCJ-02) of the same places in Shanghai, Shenzhen and Beijing, as eviltransform's tests have them.
PAIRS = (
    ((121.5272106, 31.1774276), (121.531541859215, 31.17530398364597)),
    ((113.912316, 22.543847), (113.9171764808363, 22.540796131694766)),
    ((116.377817, 39.911954), (116.38404722455657, 39.91334545536069)),
)


@pytest.mark.parametrize(("right", "gcj02"), PAIRS)
def test_gcj02_becomes_wgs84(right: tuple[float, float], gcj02: tuple[float, float]) -> None:
    assert distance(TO_WGS84["gcj02"](gcj02), right) < 0.01


def test_bd09_becomes_wgs84() -> None:
    """Tian'anmen on Baidu's map, on Amap's and in WGS-84."""
    from_baidu = TO_WGS84["bd09"]((116.404, 39.915))
    from_amap = TO_WGS84["gcj02"]((116.39762729119315, 39.90865673957631))
    assert distance(from_baidu, from_amap) < 0.5
    assert 1_000 < distance(from_baidu, (116.404, 39.915)) < 1_500


@pytest.mark.parametrize("name", TO_WGS84)
def test_outside_china_nothing_changes_and_nothing_is_warned_of(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TO_WGS84[name]((2.35, 48.85)) == (2.35, 48.85)
        TO_WGS84[name]((72.01, 30.0))  # at the edge of it

"""Every line of the shared vectors is decoded to the expected values."""

import copy
from types import ModuleType
from typing import Any, ClassVar

import pytest

from tests.vector_sets import (
    aprs,
    ble_adverts,
    ble_gatt,
    cot_tak,
    dahua_events,
    dmr_radio,
    gat1400,
    gbt26875,
    hikvision_isapi,
    jt808,
    lorawan_envelopes,
    lorawan_sensors,
    meokon,
    modbus_sensors,
    nmea0183,
    onvif_events,
    osdp,
    senml,
    sia_dc09,
    tetra_lip,
    watch,
    wiegand,
    zigbee2mqtt,
)
from tests.vectors import UNSUPPORTED_SHARE_MAX, differences, failures, lines_of

SETS = (
    ble_adverts,
    ble_gatt,
    aprs,
    cot_tak,
    dmr_radio,
    dahua_events,
    gat1400,
    gbt26875,
    hikvision_isapi,
    jt808,
    lorawan_envelopes,
    lorawan_sensors,
    meokon,
    modbus_sensors,
    nmea0183,
    onvif_events,
    osdp,
    senml,
    sia_dc09,
    tetra_lip,
    watch,
    wiegand,
    zigbee2mqtt,
)


@pytest.mark.parametrize("module", SETS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_line_is_decoded_as_expected(module: ModuleType) -> None:
    if not module.SAMPLES.exists():
        pytest.skip(f"{module.SAMPLES} is not beside this checkout")
    lines = lines_of(module.SAMPLES)
    assert lines
    assert list(failures(module, lines)) == []
    left_out = {**getattr(module, "UNSUPPORTED", {}), **getattr(module, "CONTRADICTED", {})}
    assert len(left_out) <= UNSUPPORTED_SHARE_MAX * len(lines)
    assert set(left_out) <= {line["id"] for line in lines}


def test_the_comparison_sees_what_differs() -> None:
    expected = {"a": 1.0, "b": [{"c": None}], "d": True, "note": "a remark"}
    found = {"a": 1.0000000001, "b": [{"c": None, "extra": 1}], "d": True, "e": 5}
    assert list(differences(expected, found)) == []
    for path, value in (("a", 1.1), ("b", []), ("d", 1), ("b", [{"c": 0}])):
        wrong = copy.deepcopy(found)
        wrong[path] = value
        assert list(differences(expected, wrong))
    assert list(differences(expected, {}))


@pytest.mark.parametrize("module", SETS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_key_that_our_decoder_does_not_know_is_a_difference(module: ModuleType) -> None:
    if not module.SAMPLES.exists():
        pytest.skip(f"{module.SAMPLES} is not beside this checkout")
    lines = lines_of(module.SAMPLES)
    for line in lines:
        line["expect"]["unheard_of"] = None
    assert len(list(failures(module, lines))) == len(lines)


def test_a_contradiction_that_is_none_is_found() -> None:
    class Set:
        CONTRADICTED: ClassVar = {"x-1": ("a reason", ("a",))}

        @staticmethod
        def decode(line: dict[str, Any]) -> dict[str, Any]:
            return {"a": line["given"], "b": 2}

    assert list(failures(Set, [{"id": "x-1", "given": 5, "expect": {"a": 1, "b": 2}}])) == []
    assert list(failures(Set, [{"id": "x-1", "given": 5, "expect": {"a": 1, "b": 3}}]))
    assert list(failures(Set, [{"id": "x-1", "given": 1, "expect": {"a": 1, "b": 2}}]))

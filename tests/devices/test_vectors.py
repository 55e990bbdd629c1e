"""Every line of the shared vectors is decoded to the expected values."""

import copy
from types import ModuleType
from typing import Any, ClassVar

import pytest

from tests.vector_sets import (
    aprs,
    ble_adverts,
    ble_gatt,
    cap12,
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
from tests.vectors import compare, count, differences, lines_of

SETS = (
    ble_adverts,
    ble_gatt,
    cap12,
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
    outcome = compare(module, lines)
    assert outcome.mismatched == []
    assert not outcome.too_much_left_out
    assert outcome.compared == outcome.matched + outcome.unsupported.total() > 0
    ids = {line["id"] for line in lines}
    assert {key.split()[0] for key in getattr(module, "UNSUPPORTED", {}) if " " in key} <= ids


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
    assert len(compare(module, lines).mismatched) >= len(lines)


class Given:
    """A set whose decoder says what the line gives."""

    UNSUPPORTED: ClassVar = {"x-1 a": "a reason", "later": "a goal"}

    @staticmethod
    def decode(line: dict[str, Any]) -> dict[str, Any]:
        return {"a": line["given"], "b": 2}


def test_keys_are_counted_and_unsupported_ones_told_apart() -> None:
    later = {"c": 1, "d": [1, 2], "note": "a remark"}
    outcome = compare(Given, [{"id": "x-1", "given": 5, "expect": {"a": 1, "b": 2, "later": later, "note": "n"}}])
    assert (outcome.compared, outcome.matched, outcome.mismatched) == (5, 1, [])
    assert outcome.unsupported == {("x-1", "a reason"): 1, ("x-1", "a goal"): 3} and outcome.too_much_left_out
    assert count({"a": [], "b": {}, "c": [{"d": None}]}) == 3


def test_what_does_not_match_is_told_with_its_line() -> None:
    [wrong] = compare(Given, [{"id": "x-1", "given": 5, "expect": {"a": 1, "b": 3}}]).mismatched
    assert wrong.startswith("x-1 .b: expected 3")
    [stale] = compare(Given, [{"id": "x-1", "given": 1, "expect": {"a": 1, "b": 2}}]).mismatched
    assert stale.startswith("x-1 .a matches")
    [bug] = compare(Given, [{"id": "x-2", "expect": {"a": 1}}]).mismatched
    assert bug.startswith("x-2 KeyError")

"""LoRaWAN: payloads of single models. lorawan_models.txt has one a line: model, payload, what it says by the vendor's
names. They are the examples of the vendor's manuals, and some made by hand from its payload tables; the words are those
of the vendor's own decoder."""

import json
from pathlib import Path
from typing import Any

import pytest

from devices.families.lorawan_codecs import CODECS

LINES = [line.split(" ", 2) for line in Path(__file__).with_name("lorawan_models.txt").read_text().splitlines()]


@pytest.mark.parametrize(("model", "payload", "text"), LINES)
def test_what_a_model_says(model: str, payload: str, text: str) -> None:
    assert CODECS[f"milesight/{model}"](85, bytes.fromhex(payload), False) == json.loads(text)


@pytest.mark.parametrize(("model", "payload", "text"), LINES)
def test_a_payload_that_is_cut_keeps_what_is_whole(model: str, payload: str, text: str) -> None:
    codec, raw, whole = CODECS[f"milesight/{model}"], bytes.fromhex(payload), json.loads(text)
    for size in range(len(raw)):
        found: dict[str, Any] = codec(85, raw[:size], False)
        assert set(found) <= {*whole, "rest_hex"}

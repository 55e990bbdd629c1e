"""Wiegand: formats, parities and keypads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import wiegand
from devices.wiegand import BY_NAME, FORMATS, Card, Format, Key, ReadError, read

KNOWN = "00100010010100010010011111"  # facility 68, card 41551


def made(form: Format, raw: int) -> str:
    """A burst of that format with right parities, in the order in which they cover each other."""
    first, count = form.raw
    bits = list("0" * first + f"{raw:0{count}b}")
    bits += "0" * (form.bits - len(bits))
    for parity in form.parities:
        ones = sum(bits[at] == "1" for at in parity.over)
        bits[parity.at] = str((ones + parity.odd) % 2)
    return "".join(bits)


def test_a_known_card() -> None:
    assert read(KNOWN) == Card(format="H10301", bits=26, facility=68, number=41551, raw=4497999)


@given(form=st.sampled_from(FORMATS), data=st.data())
def test_every_format_reads_what_it_writes(form: Format, data: st.DataObject) -> None:
    raw = data.draw(st.integers(0, (1 << form.raw[1]) - 1))
    card = read(made(form, raw), (form.name,))
    assert isinstance(card, Card)
    expected = int.from_bytes(raw.to_bytes(4), "little") if form.reversed_bytes else raw
    assert (card.format, card.raw) == (form.name, expected)
    if card.facility is not None:
        assert card.facility << form.card[1] | card.number == raw


@given(form=st.sampled_from([form for form in FORMATS if form.parities]), data=st.data())
def test_a_flipped_bit_is_a_read_error(form: Format, data: st.DataObject) -> None:
    raw, at = data.draw(st.integers(0, (1 << form.raw[1]) - 1)), data.draw(st.integers(0, form.bits - 1))
    bits = made(form, raw)
    flipped = bits[:at] + str(1 - int(bits[at])) + bits[at + 1 :]
    assert read(flipped, (form.name,)) == ReadError("parity wrong", form.bits)


@pytest.mark.parametrize("bits", ["", "0" * 25, "1" * 65, "01" * 12 + "2x", "1" * 1000])
def test_other_lengths_are_noise(bits: str) -> None:
    assert read(bits) == ReadError("unknown length", len(bits))


def test_a_format_that_the_reader_does_not_have_is_noise() -> None:
    assert read(KNOWN, ("H10306",)) == ReadError("unknown length", 26)


@pytest.mark.parametrize("key", wiegand.KEYS)
def test_keys(key: str) -> None:
    value = wiegand.KEYS.index(key)
    assert read(f"{value:04b}") == read(f"{value ^ 0xF:04b}{value:04b}") == Key(key)
    assert read(f"{value:04b}{value:04b}") == ReadError("keypad burst wrong", 8)


@pytest.mark.parametrize("bits", ["1100", "1111", "00111100"])
def test_what_is_no_key(bits: str) -> None:
    assert read(bits) == ReadError("keypad burst wrong", len(bits))


def test_formats_name_their_bits_once() -> None:
    assert len(BY_NAME) == len(FORMATS)
    for form in FORMATS:
        parities = {parity.at for parity in form.parities}
        assert len(parities) + form.raw[1] == form.bits
        assert all(at < form.bits for parity in form.parities for at in parity.over)

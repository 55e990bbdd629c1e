"""Wiegand: what the bits of a card reader say. Formats are data; pure. For OSDP RAW replies and readers on GPIO.

    bit 0 is the first on the wire; numbers have their most significant bit first
    26   P even over 1-12 | facility 8 | card 16 | P odd over 13-24                       H10301
    34   P even over 1-16 | facility 16 | card 16 | P odd over 17-32                      H10306, also a 4-byte UID
    37   P even over 1-18 | facility 16, card 19 (or card 35) | P odd over 18-35          H10304 (H10302)
    35   P odd over all | P even, interleaved | company 12 | card 20 | P odd, interleaved Corporate 1000
     4   keypad: 0-9, 1010 = *, 1011 = #       8   the same, high nibble the complement of the low one

Rules
- All parities of a format must hold, else it is a read error: never a card.
- A length that is in no format of the reader is noise.
- A card is (format, bits, facility, number, raw); compare on raw within a format. A card that was enrolled by its
  32-bit UID and is read as 26 bits shows only the low 24.
- Wiegand is one-way and not encrypted; who taps the line can replay it. Prefer OSDP with its secure channel.
"""

from collections.abc import Sequence

from msgspec import Struct

BITS_MAX = 64
KEYS = "0123456789*#"


class Parity(Struct, frozen=True):
    """The bit at `at` makes the ones of `over` and itself even, or odd."""

    at: int
    over: tuple[int, ...]
    odd: bool


class Format(Struct, frozen=True, kw_only=True):
    """Fields are (first bit, how many); `raw` is everything but the parities. `reversed_bytes`: a UID whose bytes the
    reader sends in the other order (option of Chinese readers)."""

    name: str
    bits: int
    parities: tuple[Parity, ...] = ()
    facility: tuple[int, int] | None = None
    card: tuple[int, int]
    raw: tuple[int, int]
    reversed_bytes: bool = False


def _halves(bits: int, low: int, high: int) -> tuple[Parity, ...]:
    """The usual pair: the first bit even over 1 to `low`, the last odd from `high` on."""
    first = Parity(0, tuple(range(1, low + 1)), odd=False)
    return first, Parity(bits - 1, tuple(range(high, bits - 1)), odd=True)


CORPORATE_EVEN = tuple(at for at in range(2, 34) if at % 3 != 1)
CORPORATE_ODD = tuple(at for at in range(1, 34) if at % 3 != 0)

FORMATS = (
    Format(name="H10301", bits=26, parities=_halves(26, 12, 13), facility=(1, 8), card=(9, 16), raw=(1, 24)),
    Format(name="H10306", bits=34, parities=_halves(34, 16, 17), facility=(1, 16), card=(17, 16), raw=(1, 32)),
    Format(name="H10304", bits=37, parities=_halves(37, 18, 18), facility=(1, 16), card=(17, 19), raw=(1, 35)),
    Format(name="H10302", bits=37, parities=_halves(37, 18, 18), card=(1, 35), raw=(1, 35)),
    Format(
        name="C1000-35",
        bits=35,
        parities=(
            Parity(1, CORPORATE_EVEN, odd=False),
            Parity(34, CORPORATE_ODD, odd=True),
            Parity(0, tuple(range(1, 35)), odd=True),
        ),
        facility=(2, 12),
        card=(14, 20),
        raw=(2, 32),
    ),
    Format(name="UID32", bits=32, card=(0, 32), raw=(0, 32)),
    Format(name="WG34", bits=34, parities=_halves(34, 16, 17), card=(1, 32), raw=(1, 32)),
    Format(name="WG34-reversed", bits=34, parities=_halves(34, 16, 17), card=(1, 32), raw=(1, 32), reversed_bytes=True),
)
BY_NAME = {one.name: one for one in FORMATS}
USUAL = ("H10301", "H10306", "H10304", "C1000-35", "UID32")


class Card(Struct, frozen=True, kw_only=True):
    """A card that was read. Its numbers are personal data."""

    format: str
    bits: int
    facility: int | None
    number: int
    raw: int


class Key(Struct, frozen=True):
    """A key of the keypad."""

    key: str


class ReadError(Struct, frozen=True):
    """`reason`: "parity wrong", "keypad burst wrong" or "unknown length"."""

    reason: str
    bits: int


def read(bits: str, formats: Sequence[str] = USUAL) -> Card | Key | ReadError:
    """What a burst of "0" and "1" says. Of formats with one length the first whose parities hold counts."""
    length = len(bits)
    if not bits or length > BITS_MAX or set(bits) - {"0", "1"}:
        return ReadError("unknown length", length)
    if length in (4, 8):
        return _key(bits)
    fitting = [BY_NAME[name] for name in formats if BY_NAME[name].bits == length]
    whole = next((one for one in fitting if all(_holds(bits, parity) for parity in one.parities)), None)
    if whole is None:
        return ReadError("parity wrong" if fitting else "unknown length", length)
    raw, number = _number(bits, whole.raw), _number(bits, whole.card)
    if whole.reversed_bytes:
        raw = number = int.from_bytes(raw.to_bytes(whole.raw[1] // 8), "little")
    facility = _number(bits, whole.facility) if whole.facility else None
    return Card(format=whole.name, bits=length, facility=facility, number=number, raw=raw)


def _key(bits: str) -> Key | ReadError:
    value = int(bits[-4:], 2)
    complement = len(bits) == 4 or int(bits[:4], 2) == value ^ 0xF
    if value >= len(KEYS) or not complement:
        return ReadError("keypad burst wrong", len(bits))
    return Key(KEYS[value])


def _holds(bits: str, parity: Parity) -> bool:
    ones = sum(bits[at] == "1" for at in (parity.at, *parity.over))
    return ones % 2 == parity.odd


def _number(bits: str, field: tuple[int, int]) -> int:
    first, count = field
    return int(bits[first : first + count], 2)

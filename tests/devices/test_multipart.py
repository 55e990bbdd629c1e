"""Cutting multipart streams: parts come out whole and in time, pictures never wait."""

import pytest

from devices.framing import Framer
from devices.multipart import PART_BYTES_MAX, PICTURE_BYTES_MAX, Cutter, Part, parts_of, read_part
from devices.observation import Rejected
from tests.devices.frames import part

PICTURE_HEAD = b"--myboundary\r\nContent-Type: image/jpeg\r\nContent-Length: 9\r\n\r\n"
PICTURE = bytes(range(256)) * 4 + b"--myboundary"  # no line break before it: not its end


def framer(**quirks: bool) -> Framer:
    return Framer(Cutter(**quirks).cut, PART_BYTES_MAX)


def read(made: Framer, data: bytes, chunk: int = 1 << 20) -> list[Part | str]:
    pieces = [piece for at in range(0, len(data), chunk) for piece in made.feed(data[at : at + chunk])]
    return [piece.reason if isinstance(piece, Rejected) else read_part(piece) for piece in pieces]


def bodies(found: list[Part | str]) -> list[bytes | str]:
    return [piece.body if isinstance(piece, Part) else piece for piece in found]


def test_a_part_with_a_length_does_not_wait_for_the_next() -> None:
    assert bodies(read(framer(), part("Heartbeat").removesuffix(b"\r\n"))) == [b"Heartbeat"]


def test_a_part_without_a_length_ends_at_the_next_or_with_silence() -> None:
    made = framer()
    first = b"--b\nContent-Type: text/plain\n\nHeart\r\nbeat\r\n"
    assert read(made, first) == []
    assert bodies(read(made, first)) == [b"Heart\r\nbeat"]
    [last] = made.idle()
    assert isinstance(last, bytes)
    assert read_part(last).body == b"Heart\r\nbeat"


@pytest.mark.parametrize("chunk", [1, 7, 1000, 1 << 20])
def test_pictures_are_dropped_as_they_come(chunk: int) -> None:
    made = framer()
    data = part("one") + PICTURE_HEAD + PICTURE * 300 + b"\r\n" + part("two") + b"--myboundary--\r\n"
    found = read(made, data, chunk)
    assert bodies(found) == [b"one", b"", b"two"]
    assert [piece.is_picture for piece in found if isinstance(piece, Part)] == [False, True, False]
    assert made.waiting == 0
    made.feed(PICTURE_HEAD + PICTURE * 1_000)
    assert made.waiting < 100


def test_a_picture_without_end_is_given_up() -> None:
    made = framer()
    read(made, PICTURE_HEAD + bytes(PICTURE_BYTES_MAX + 1_000), 65_536)
    assert bodies(read(made, part("one"))) == [b"one"]


def test_an_empty_picture_ends_at_once() -> None:
    assert bodies(read(framer(), PICTURE_HEAD + part("one"))) == [b"", b"one"]


def test_a_length_too_long_does_not_swallow_the_next_part() -> None:
    assert bodies(read(framer(), part("one", length=60) + part("two"))) == [b"one", b"two"]


def test_a_length_too_short_is_a_quirk() -> None:
    data = part("one;data", length=3) + part("two", length=1) + b"--myboundary--\r\n"
    assert bodies(read(framer(wrong_length=True), data)) == [b"one;data", b"two"]
    assert bodies(read(framer(), data))[0] == b"one"


@pytest.mark.parametrize(
    "noise",
    [
        b"garbage",
        b"-",
        b"--",
        b"--\r\n",
        b"--a b\r\n",
        b"--" + b"x" * 200 + b"\r\n",
        b"--a\r\nno headers at all" + b"x" * 5_000,
        b"\0\r\n",
    ],
)
def test_noise_before_a_part(noise: bytes) -> None:
    for chunk in (1, 1 << 20):
        made = framer()
        found = bodies(read(made, noise + b"\r\n" + part("one"), chunk))
        assert found[-1:] == [b"one"]


def test_a_part_too_long_is_noise_and_the_next_is_heard() -> None:
    made = framer()
    read(made, b"--a\r\nContent-Type: text/plain\r\n\r\n" + b"x " * PART_BYTES_MAX)
    assert bodies(read(made, b"\r\n" + part("one")))[-1] == b"one"


def test_whole_messages_keep_their_pictures() -> None:
    found = parts_of(part("one") + PICTURE_HEAD + b"\xff\xd8\r\n--x\xff\xd9\r\n--myboundary--\r\n", 10_000)
    assert [one.body for one in found] == [b"one", b"\xff\xd8\r\n--x\xff\xd9"]

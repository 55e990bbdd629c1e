"""Packed rows come out of PostgreSQL as they went in, whatever the text."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.observation import DeviceId, Observation, Position, Telemetry, ZoneId
from hub.copy_rows import (
    HEADER,
    NAME_CHARS_MAX,
    TRAILER,
    EventRow,
    double_array,
    label_of,
    micros,
    name_of,
    pack_events,
    pack_series,
    real_array,
    text_array,
    text_of,
    time_array,
)
from hub.migrations import migrate
from hub.store import Store

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
AT = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
HOSTILE = st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.sampled_from(
    ["", "\0", "a\0b", "'; DROP TABLE telemetry; --", "\\N", "\t\n", "乌镇", "🚒" * 100, "x" * 1000, " ", "\u202eabc"]
)
REALS = st.floats(-(2.0**127), 2.0**127, width=32)
TIMES = st.integers(-62_900_000_000, 251_000_000_000).map(lambda ms: EPOCH + timedelta(milliseconds=ms * 1000 + 1))


def observation(body, device="watch:1", at=AT, zone="") -> Observation:
    return Observation(device=DeviceId(device), observed_at=at, received_at=at, body=body, zone=ZoneId(zone))


@pytest.fixture(scope="module")
def tables(postgres_server):
    """One connection to a database with our tables; each example rolls back."""
    dsn = postgres_server.ensure_database("copy_rows")

    async def make() -> None:
        async with Store(dsn) as store:
            await migrate(store)

    asyncio.run(make())
    with psycopg.connect(dsn) as connection:
        yield connection
    postgres_server.drop_database("copy_rows")


def load(connection: psycopg.Connection, table: str, columns: str, *pieces: bytes) -> list[tuple]:
    """COPY the pieces and read them back."""
    query = f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)"
    try:
        with connection.cursor() as cursor:
            with cursor.copy(query) as copy:
                copy.write(b"".join((HEADER, *pieces, TRAILER)))
            return cursor.execute(f"SELECT {columns} FROM {table}", binary=True).fetchall()  # noqa: S608 - names of this module
    finally:
        connection.rollback()


TELEMETRY = "device, metric, component, observed_at, received_at, value"
POSITIONS = (
    "device, observed_at, received_at, longitude, latitude, altitude_m, accuracy_m, speed_kmh, course_deg, fix, zone,"
    " level"
)
EVENTS = (
    "gateway, epoch, seq, device, class, kind, raised, priority, component, description, attributes, zone, "
    "observed_at, received_at, committed_at, late, flags, incident"
)


@given(names=st.tuples(HOSTILE, HOSTILE, HOSTILE), value=st.floats(allow_nan=False), at=TIMES)
def test_telemetry_round_trip(tables, names, value, at) -> None:
    device, metric, component = names
    packed = pack_series([(1, observation(Telemetry({metric: value}, component), device, at))])
    expected = (name_of(device), name_of(metric), label_of(component), at, at, value)
    assert load(tables, "telemetry", TELEMETRY, packed.telemetry) == [expected]
    assert packed.latest.values == {expected[:3]: (micros(at), value)}


@given(
    reals=st.tuples(*[st.none() | REALS] * 4),
    place=st.tuples(st.floats(-180, 180), st.floats(-90, 90)),
    fix=HOSTILE,
    zone=HOSTILE,
    level=st.none() | st.integers(-40_000, 40_000),
)
def test_position_round_trip(tables, reals, place, fix, *, zone, level) -> None:
    altitude, accuracy, speed, course = reals
    body = Position(
        longitude=place[0], latitude=place[1], fix=fix, altitude_m=altitude, accuracy_m=accuracy, speed_kmh=speed,
        course_deg=course, level=level,
    )  # fmt: skip
    floor = None if level is None else min(max(level, -20), 300)
    packed = pack_series([(1, observation(body, zone=zone))])
    expected = ("watch:1", AT, AT, *place, *reals, name_of(fix), name_of(zone) if zone else None, floor)
    assert load(tables, "positions", POSITIONS, packed.positions) == [expected]


@given(
    texts=st.tuples(*[HOSTILE] * 3),
    attributes=st.dictionaries(HOSTILE, HOSTILE, max_size=4),
    flags=st.lists(HOSTILE, max_size=3),
    facts=st.tuples(st.none() | st.booleans(), st.none() | st.integers(1, 2**62)),
)
def test_event_round_trip(tables, texts, attributes, flags, facts) -> None:
    raised, incident = facts
    epoch, component, description = map(text_of, texts)
    row = EventRow(
        gateway="gw-1", epoch=epoch, seq=2**62, device="gbt26875:1", kind="smoke", raised=raised, priority=0,
        component=component, description=description, attributes=attributes, zone="hall", observed_at=AT,
        received_at=AT, committed_at=AT, late=True, flags=tuple(flags), incident=incident,
    )  # fmt: skip
    kind = "event" if raised is None else "alarm"
    held = {text_of(key): text_of(value) for key, value in attributes.items()}
    expected = (
        "gw-1", epoch, 2**62, "gbt26875:1", kind, "smoke", raised, 0, component, description, held, "hall", AT, AT, AT,
        True, list(map(text_of, flags)), incident,
    )  # fmt: skip
    assert load(tables, "events", EVENTS, *pack_events([row])) == [expected]


@given(
    texts=st.lists(st.none() | HOSTILE, max_size=5),
    times=st.lists(TIMES, max_size=5),
    doubles=st.lists(st.floats(allow_nan=False), max_size=5),
    reals=st.lists(st.none() | REALS, max_size=5),
)
def test_arrays_round_trip(tables, texts, times, doubles, reals) -> None:
    packed = (text_array(texts), time_array(list(map(micros, times))), double_array(doubles), real_array(reals))
    row = tables.execute(
        "SELECT %s::text[], %s::timestamptz[], %s::float8[], %s::real[]", packed, binary=True
    ).fetchone()
    tables.rollback()
    assert row == ([None if text is None else text_of(text) for text in texts], times, doubles, reals)


@given(text=HOSTILE)
def test_names_fit_between_blanks_and_into_an_index(text: str) -> None:
    assert len(name_of(text)) <= NAME_CHARS_MAX and " " not in name_of(text)
    assert all(char.isprintable() for char in name_of(text) + label_of(text))
    assert name_of(name_of(text)) == name_of(text)


def test_times_are_compared_as_instants() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert micros(AT) == micros(AT.astimezone(shanghai))
    with pytest.raises(TypeError):
        micros(AT.replace(tzinfo=None))
    for never in (datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))), datetime.min.replace(tzinfo=UTC)):
        with pytest.raises(OverflowError):
            micros(never)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=20))
def test_the_newest_value_does_not_depend_on_the_order(found: list[tuple[int, int]]) -> None:
    rows = [
        (
            seq,
            observation(
                Telemetry({"steps": float(second * 10 + number)}), f"watch:{number}", AT + timedelta(seconds=second)
            ),
        )
        for seq, (second, number) in enumerate(found)
    ]
    latest = pack_series(rows).latest
    for (device, _, _), (at, value) in latest.values.items():
        mine = [second for second, number in found if device == f"watch:{number}"]
        assert at == micros(AT + timedelta(seconds=max(mine))) and value // 10 == max(mine)
        assert latest.seen[device] == AT + timedelta(seconds=max(mine))

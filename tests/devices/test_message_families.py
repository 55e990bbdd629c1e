"""What every family of whole messages promises, whatever the bytes and wherever they come: see devices/family.py."""

import copy
import importlib
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.dictionary import ALARMS, EVENTS, METRICS, in_range
from devices.envelope import decode_observation, encode
from devices.families import FAMILIES
from devices.family import Everyone, Message, MessageFamily, MessageSession
from devices.observation import Alarm, Event, Observation, Rejected, Result, Telemetry
from gridward.family_words import unsaid
from tests.devices.frames import NOW
from tests.devices.messages import GOOD_MESSAGES
from tests.vectors import lines_of

OBSERVATION_BYTES_MAX = 20_000
VECTORS = (
    "ble_adverts",
    "ble_gatt",
    "lorawan_envelopes",
    "senml",
    "zigbee2mqtt",
    "gat1400",
    "hikvision_isapi",
    "onvif_events",
    "dmr_radio",
)


def real_messages() -> list[Message]:
    """What devices of the field sent, where the shared vectors are beside this checkout."""
    modules = [importlib.import_module(f"tests.vector_sets.{name}") for name in VECTORS]
    return [module.message(line) for module in modules if module.SAMPLES.exists() for line in lines_of(module.SAMPLES)]


MESSAGES = [*(good.message for good in GOOD_MESSAGES.values()), *real_messages()]
MESSAGE_FAMILIES = tuple(family for family in FAMILIES.values() if isinstance(family, MessageFamily))
families = st.sampled_from(MESSAGE_FAMILIES)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.sampled_from(["", "\0", "ON", "true", "-1", "1e999", "2026-11-24T12:29:50Z", "9999-12-31T23:59:59-12:00"]),
    st.text(max_size=30),
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """A good message, one with other values or bytes in it, or anything at all, in its own channel or another."""
    message = draw(st.sampled_from(MESSAGES))
    data = draw(
        st.one_of(st.just(message.data), st.binary(max_size=60), _flipped(message.data), _mangled(message.data))
    )
    channel = draw(
        st.one_of(
            st.just(message.channel),
            st.sampled_from(MESSAGES).map(lambda other: other.channel),
            st.text(max_size=40),
            st.integers(0, 60).map(lambda end: message.channel[:end]),
        )
    )
    return Message(channel, data, draw(st.sampled_from([message.headers, {}, {"retained": "1"}])))


def _flipped(data: bytes) -> st.SearchStrategy[bytes]:
    return st.tuples(st.integers(0, max(len(data) - 1, 0)), st.integers(1, 255)).map(
        lambda change: (
            data[: change[0]] + bytes((data[change[0]] ^ change[1],)) + data[change[0] + 1 :] if data else data
        )
    )


@st.composite
def _mangled(draw: st.DrawFn, data: bytes) -> bytes:
    """JSON with another value somewhere, so that it reaches the readers behind the parser."""
    try:
        whole = json.loads(data)
    except ValueError:
        return data[: draw(st.integers(0, len(data)))] + draw(st.binary(max_size=8))
    changed = copy.deepcopy(whole)
    at: Any = changed
    while isinstance(at, dict | list) and at:
        key = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else list(range(len(at)))))
        inner = at[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
            at[key] = draw(anything)
            break
        at = inner
    return json.dumps(changed).encode()


def open_session(family: MessageFamily, enrolled: Any = None) -> MessageSession:
    settings = msgspec.convert(GOOD_MESSAGES[family.name].settings, family.settings)
    return family.open_session(settings, Everyone() if enrolled is None else enrolled)


def is_alarm(result: Result) -> bool:
    return isinstance(result, Observation) and isinstance(result.body, Alarm) and result.body.raised


@given(family=families, given_messages=st.lists(messages(), min_size=1, max_size=5))
def test_nothing_raises_and_results_keep_to_the_dictionary_and_travel(
    family: MessageFamily, given_messages: list[Message]
) -> None:
    session = open_session(family)
    for result in [result for message in given_messages for result in session.receive(message, NOW)]:
        if isinstance(result, Rejected):
            assert result.reason
            assert len(result.frame) <= 64
            continue
        assert result.device.startswith(f"{family.name}:")
        _keeps_to_the_dictionary(result.body)
        assert unsaid(family, result.body) == "", "its page in docs/families does not tell"
        encoded = encode(result)
        assert decode_observation(encoded) == result
        assert b"\\u0000" not in encoded  # PostgreSQL cannot hold it
        assert len(encoded) < OBSERVATION_BYTES_MAX
    session.to_send()


def _keeps_to_the_dictionary(body: object) -> None:
    assert not isinstance(body, Alarm) or body.kind in ALARMS
    assert not isinstance(body, Event) or body.kind in EVENTS
    if isinstance(body, Telemetry):
        assert set(body.values) <= set(METRICS)
        assert all(in_range(metric, value) for metric, value in body.values.items())


@pytest.mark.parametrize("family", MESSAGE_FAMILIES, ids=lambda family: family.name)
def test_its_page_tells_all_that_a_family_says(family: MessageFamily) -> None:
    found = [result for message in MESSAGES for result in open_session(family).receive(message, NOW)]
    said = [result.body for result in found if isinstance(result, Observation)]
    assert said
    assert {unsaid(family, body) for body in said} == {""}


@given(family=families, given_messages=st.lists(messages(), min_size=1, max_size=5))
def test_a_device_that_is_not_enrolled_makes_no_observation(
    family: MessageFamily, given_messages: list[Message]
) -> None:
    session = open_session(family, frozenset())
    found = [result for message in given_messages for result in session.receive(message, NOW)]
    assert not any(isinstance(result, Observation) for result in found)
    assert all(int(answer.headers.get("status", "200")) >= 400 for answer in session.to_send())


@given(family=families, noise=st.lists(messages(), max_size=5))
def test_a_good_message_is_heard_after_any_others(family: MessageFamily, noise: list[Message]) -> None:
    good = GOOD_MESSAGES[family.name].message
    session = open_session(family)
    for message in noise:
        if message.channel != good.channel:  # a protocol may count within a channel
            session.receive(message, NOW)
    assert any(is_alarm(result) for result in session.receive(good, NOW))


@pytest.mark.parametrize("family", MESSAGE_FAMILIES, ids=lambda family: family.name)
def test_a_stranger_is_named(family: MessageFamily) -> None:
    good = GOOD_MESSAGES[family.name]
    found = open_session(family, frozenset({"another"})).receive(good.message, NOW)
    assert [(one.reason, one.device) for one in found if isinstance(one, Rejected)] == [
        ("not enrolled", f"{family.name}:{good.native_id}")
    ]
    [*known] = open_session(family, frozenset({good.native_id})).receive(good.message, NOW)
    assert any(is_alarm(result) for result in known)


@pytest.mark.parametrize("year", [1970, 2026, 9999])
@pytest.mark.parametrize("family", MESSAGE_FAMILIES, ids=lambda family: family.name)
def test_a_gateway_whose_own_clock_is_wrong_still_hears_alarms(family: MessageFamily, year: int) -> None:
    for now in (datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)):
        found = open_session(family).receive(GOOD_MESSAGES[family.name].message, now)
        assert any(is_alarm(result) for result in found)


@pytest.mark.parametrize("family", MESSAGE_FAMILIES, ids=lambda family: family.name)
def test_the_same_report_twice_has_the_same_ids(family: MessageFamily) -> None:
    good = GOOD_MESSAGES[family.name].message
    ids = [
        {one.frame_id for one in open_session(family).receive(good, NOW) if isinstance(one, Observation)}
        for _ in range(2)
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == len(open_session(family).receive(good, NOW))  # none is empty, none is there twice


@pytest.mark.parametrize("family", MESSAGE_FAMILIES, ids=lambda family: family.name)
def test_brackets_without_end_are_no_crash(family: MessageFamily) -> None:
    session = open_session(family)
    channel = GOOD_MESSAGES[family.name].message.channel
    for data in (b"[" * 50_000, b'{"a":' * 20_000, b"\x9f" * 50_000, b"\x81" * 50_000, b"\xff\xfe" * 1_000, b""):
        assert not any(isinstance(one, Observation) for one in session.receive(Message(channel, data), NOW))


def test_message_families_are_complete_and_settings_refuse_unknown_keys() -> None:
    assert {family.name for family in MESSAGE_FAMILIES} == set(GOOD_MESSAGES)
    for family in MESSAGE_FAMILIES:
        good = GOOD_MESSAGES[family.name]
        assert family.links
        assert 0 < len(good.message.data) <= family.message_bytes_max
        assert family.silence_s_max > 0
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(good.settings | {"unheard_of": 1}, family.settings)


@pytest.mark.parametrize("family", MESSAGE_FAMILIES, ids=lambda family: family.name)
def test_a_flipped_bit_is_caught_where_an_integrity_check_is_declared(family: MessageFamily) -> None:
    good = GOOD_MESSAGES[family.name]
    assert good.flipped_is_caught == bool(family.integrity)
    data = good.message.data
    for bit in range(len(data) * 8 if family.integrity else 0):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        message = Message(good.message.channel, bytes(flipped), good.message.headers)
        found = open_session(family).receive(message, NOW)
        assert not any(is_alarm(result) for result in found)

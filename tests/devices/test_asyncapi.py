"""docs/asyncapi.yaml says what the types say, in both directions, and real encodings are valid by it."""

import copy
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from devices import envelope
from devices.documents import Command, Document, Signed, sign
from devices.envelope import BATCH_ROWS_MAX, LANES, Batch, CommandResult, Committed, GatewayState, encode, topic
from devices.observation import Alarm, DeviceId, Event, GatewayId, Observation, Position, Telemetry

PAGE: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "docs" / "asyncapi.yaml").read_text())
SCHEMAS: dict[str, Any] = PAGE["components"]["schemas"]
TYPES = (Batch, Committed, GatewayState, CommandResult, Signed, Document, Command)
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
GATEWAY = GatewayId("gw-1")

# Words of a schema that only explain or narrow; the types cannot hold them.
REMARKS = {"description", "title", "examples", "format", "minimum", "maximum", "maxItems", "maxLength"}
REMARKS |= {"discriminator", "contentMediaType"}


def shape(schema: Any) -> Any:
    """A schema without remarks; pairs as JSON Schema 2020 writes them, whoever wrote them."""
    if isinstance(schema, list | tuple):
        return [shape(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        key: {name: shape(one) for name, one in value.items()} if key == "properties" else shape(value)
        for key, value in schema.items()
        if key not in REMARKS
    }
    if isinstance(found.get("items"), list):
        found["prefixItems"] = found.pop("items")
    found.pop("additionalItems", None)
    if found.get("items") is False:
        del found["items"]
    if "prefixItems" in found:
        found.pop("minItems", None)
    for key in ("required", "enum"):
        if key in found:
            found[key] = sorted(found[key])
    return found


def shapes_of_types() -> dict[str, Any]:
    _, components = msgspec.json.schema_components(TYPES, ref_template="#/components/schemas/{name}")
    return {name: shape(schema) for name, schema in components.items()}


def disagreements(schemas: dict[str, Any]) -> list[str]:
    page, types = {name: shape(schema) for name, schema in schemas.items()}, shapes_of_types()
    return [name for name in sorted({*page, *types}) if page.get(name) != types.get(name)]


def test_types_and_page_have_the_same_fields() -> None:
    assert disagreements(SCHEMAS) == []


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_field_on_one_side_only_is_found(name: str) -> None:
    """What the type lacks, and what the page lacks: each property taken away or put in is seen."""
    more = copy.deepcopy(SCHEMAS)
    more[name]["properties"]["unheard_of"] = {"type": "string"}
    assert disagreements(more) == [name]
    for field in SCHEMAS[name]["properties"]:
        fewer = copy.deepcopy(SCHEMAS)
        del fewer[name]["properties"][field]
        assert disagreements(fewer) == [name]
    assert disagreements({key: value for key, value in SCHEMAS.items() if key != name}) == [name]


# --- channels and operations ---------------------------------------------------------------------


def test_channels_are_the_topics_of_the_envelope() -> None:
    told = set(re.findall(r"^    (gridward/v1/\S+)", envelope.__doc__ or "", re.MULTILINE))
    assert {channel["address"] for channel in PAGE["channels"].values()} == told
    shard = envelope.shard_of(GATEWAY)
    for channel in PAGE["channels"].values():
        tail = channel["address"].split("/")[4:]
        filled = channel["address"].format(shard=shard, gateway=GATEWAY, lane="urgent", document="zones")
        words = [word.format(lane="urgent", document="zones") for word in tail]
        assert filled == topic(GATEWAY, *words)
        assert envelope.parse_topic(filled) == (GATEWAY, tuple(words))
        assert set(channel["parameters"]) == set(re.findall(r"{(\w+)}", channel["address"]))


def test_every_reference_leads_somewhere_and_nothing_is_left_over() -> None:
    used = set(_references(PAGE))
    for reference in used:
        assert reference.startswith("#/")
        _follow(reference)
    for section, things in PAGE["components"].items():
        assert {f"#/components/{section}/{name}" for name in things} <= used
    for name, operation in PAGE["operations"].items():
        assert operation["action"] in ("send", "receive"), name
        messages = [message["$ref"] for message in operation["messages"]]
        assert all(message.startswith(f"{operation['channel']['$ref']}/messages/") for message in messages)
        assert operation["bindings"]["mqtt"]["qos"] == 1
    spoken = {operation["channel"]["$ref"] for operation in PAGE["operations"].values()}
    assert spoken == {f"#/channels/{name}" for name in PAGE["channels"]}


def test_what_is_retained_is_what_the_envelope_says() -> None:
    lines = [line for line in (envelope.__doc__ or "").splitlines() if line.startswith("    gridward/v1/")]
    retained = {line.split()[0] for line in lines if "retained" in line.replace("never retained", "")}
    assert 0 < len(retained) < len(lines)
    for operation in PAGE["operations"].values():
        address = _follow(operation["channel"]["$ref"])["address"]
        assert operation["bindings"]["mqtt"]["retain"] == (address in retained)


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    assert SCHEMAS["Batch"]["properties"]["rows"]["maxItems"] == BATCH_ROWS_MAX
    assert tuple(PAGE["components"]["parameters"]["lane"]["enum"]) == LANES


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _references(one)


def _follow(reference: str) -> Any:
    found: Any = PAGE
    for word in reference.removeprefix("#/").split("/"):
        found = found[word]
    return _follow(found["$ref"]) if set(found) == {"$ref"} else found


# --- real encodings ------------------------------------------------------------------------------


def validator(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}})


VALIDATORS = {kind: validator(kind.__name__) for kind in TYPES}


def check(value: Struct) -> None:
    VALIDATORS[type(value)].validate(msgspec.json.decode(encode(value)))


text = st.text(max_size=20)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given below
numbers = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | numbers
bodies = st.one_of(
    st.builds(Telemetry, values=st.dictionaries(text, numbers, max_size=4), component=text),
    st.builds(Event, kind=text, component=text, attributes=st.dictionaries(text, text, max_size=4)),
    st.builds(Alarm, kind=text, raised=st.booleans(), component=text, description=text),
    st.builds(
        Position,
        longitude=st.floats(-180, 180),
        latitude=st.floats(-90, 90),
        altitude_m=maybe,
        accuracy_m=maybe,
        speed_kmh=maybe,
        course_deg=maybe,
        satellites=st.none() | st.integers(0, 255),
        level=st.none() | st.integers(-20, 300),
    ),
)
observations = st.builds(
    Observation,
    device=text.map(DeviceId),
    observed_at=times,
    received_at=times,
    body=bodies,
    frame_id=text,
    flags=st.lists(text, max_size=3).map(tuple),
)
counts = st.integers(0, 2**53)
values = st.one_of(
    st.builds(
        Batch,
        gateway=text.map(GatewayId),
        epoch=text,
        lane=st.sampled_from(LANES),
        rows=st.lists(st.tuples(st.integers(1, 2**53), observations), max_size=4).map(tuple),
        dropped_through=counts,
    ),
    st.builds(Committed, epoch=text, seq=counts, committed_at=times),
    st.builds(
        GatewayState,
        gateway=text.map(GatewayId),
        online=st.booleans(),
        at=st.none() | times,
        version=text,
        epoch=text,
        spool_rows=counts,
        clock_skew_s=numbers,
        documents=st.dictionaries(text, counts, max_size=3),
        actuators=st.dictionaries(text, st.sampled_from(["on", "off", "unknown"]), max_size=3),
    ),
    st.builds(
        CommandResult,
        gateway=text.map(GatewayId),
        nonce=text,
        result=st.sampled_from(["refused", "accepted", "confirmed", "expired"]),
        reason=text,
        at=times,
    ),
)
documents = st.builds(
    Document,
    name=text,
    version=counts,
    audience=text,
    issued_at=times,
    expires_at=times,
    body=st.dictionaries(text, text, max_size=2) | st.lists(counts, max_size=2) | text,
)
commands = st.builds(
    Command,
    gateway=text,
    nonce=text,
    action=text,
    target=text,
    value=text,
    actor=text,
    issued_at=times,
    expires_at=times,
)


@given(value=values)
def test_what_travels_is_valid(value: Struct) -> None:
    check(value)
    assert msgspec.json.decode(encode(value), type=type(value)) == value


@given(content=documents | commands)
def test_what_is_signed_is_valid_outside_and_inside(content: Document | Command) -> None:
    signed = msgspec.json.decode(sign(content, KEY), type=Signed)
    check(signed)
    VALIDATORS[type(content)].validate(msgspec.json.decode(signed.content))


def batch(body: Any) -> Batch:
    observation = Observation(device=DeviceId("watch:1"), observed_at=NOW, received_at=NOW, body=body)
    return Batch(gateway=GATEWAY, epoch="e", lane="urgent", rows=((1, observation),))


@pytest.mark.parametrize(
    "value",
    [
        batch(Telemetry({})),
        batch(Event(kind="reset")),
        batch(Alarm(kind="smoke", raised=False, description="大堂")),
        batch(Position(longitude=120.5, latitude=30.7)),
        Batch(gateway=GATEWAY, epoch="e", lane="routine", rows=(), dropped_through=7),
        Committed(epoch="e", seq=7, committed_at=NOW),
        GatewayState(gateway=GATEWAY, online=False),
        GatewayState(gateway=GATEWAY, online=True, at=NOW, documents={"zones": 2}, actuators={"siren": "on"}),
        CommandResult(gateway=GATEWAY, nonce="n", result="refused", reason="expired", at=NOW),
        Document(
            name="zones", version=1, audience="*", issued_at=NOW, expires_at=NOW + timedelta(1), body={"zones": []}
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_examples_are_valid(value: Struct) -> None:
    check(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Batch, '{"gateway":"g","epoch":"e","lane":"slow","rows":[]}'),
        (Batch, '{"gateway":"g","epoch":"e","lane":"urgent","rows":[[1]]}'),
        (Batch, '{"gateway":"g","epoch":"e","lane":"urgent","rows":[[1,{}]]}'),
        (Committed, '{"epoch":"e","seq":"1","committed_at":"2026-11-24T12:00:00Z"}'),
        (GatewayState, '{"gateway":"g"}'),
        (CommandResult, '{"gateway":"g","nonce":"n","result":"done","at":"2026-11-24T12:00:00Z"}'),
        (Command, "{}"),
    ],
)
def test_what_the_types_refuse_the_page_refuses(kind: type[Struct], text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(text, type=kind)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATORS[kind].validate(msgspec.json.decode(text))

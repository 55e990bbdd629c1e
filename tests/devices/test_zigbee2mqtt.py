"""Zigbee devices: what zigbee2mqtt's messages become."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from devices.families import zigbee2mqtt, zigbee2mqtt_wire
from devices.family import CommandRefused, DeviceCommand, Everyone, Message
from devices.observation import Alarm, CommandAnswer, Event, Observation, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.messages import SMOKE_ZIGBEE
from tests.devices.messages import zigbee2mqtt as state


def session(**settings: Any) -> zigbee2mqtt.Session:
    return zigbee2mqtt.Session(zigbee2mqtt.Settings(**settings), Everyone())


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def told(link: zigbee2mqtt.Session, name: str, **fields: Any) -> list[object]:
    """What a state is told as, its measurements left out."""
    return [body for body in bodies(link.receive(state(name, **fields), NOW)) if not isinstance(body, Telemetry)]


def bridge(path: str, **body: Any) -> Message:
    return Message(f"zigbee2mqtt/bridge/{path}", json.dumps(body).encode())


def test_smoke_comes_first_with_its_measurements_and_time() -> None:
    found = session().receive(state(**SMOKE_ZIGBEE), NOW)
    assert bodies(found) == [Alarm(kind="smoke"), Telemetry({"battery_percent": 80, "link_quality": 90})]
    first = found[0]
    assert isinstance(first, Observation)
    assert (first.device, first.observed_at) == (
        "zigbee2mqtt:hall/smoke_1",
        datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"gas": True}, "gas"),
        ({"carbon_monoxide": True}, "carbon_monoxide"),
        ({"water_leak": True}, "water_leak"),
        ({"tamper": True}, "tamper"),
        ({"battery_low": True}, "low_battery"),
        ({"lock_state": "not_fully_locked"}, "lock_fault"),
        ({"action": "emergency"}, "sos"),
        ({"action": "panic"}, "sos"),
    ],
)
def test_what_devices_call_for(fields: dict[str, Any], kind: str) -> None:
    assert told(session(), "one", **fields)[0] == Alarm(kind=kind)


def test_what_is_missing_or_unknown_clears_nothing() -> None:
    link = session()
    told(link, "one", smoke=True)
    assert told(link, "one", battery=70) == []
    assert told(link, "one", smoke=None) == []
    assert told(link, "one", smoke="false") == []
    assert told(link, "one", smoke=False) == [Alarm(kind="smoke", raised=False)]
    assert told(link, "one", smoke=False) == []


def test_doors_and_locks_are_told_when_they_move() -> None:
    link = session()
    kinds = [
        [body.kind for body in told(link, "door", contact=contact) if isinstance(body, Event)]
        for contact in (True, True, False, False, True)
    ]
    assert kinds == [["door_closed"], [], ["door_opened"], [], ["door_closed"]]
    assert told(link, "lock", state="LOCK", lock_state="locked")[-1] == Event(kind="locked")
    assert told(link, "lock", state="UNLOCK", lock_state="unlocked") == [Event(kind="unlocked")]


def test_an_old_press_is_no_press_and_a_code_is_never_kept() -> None:
    keypad = state("keypad", action="disarm", action_code="1234", action_user=3)
    found = session().receive(keypad, NOW)
    assert "1234" not in str(found)
    assert Event(kind="button", attributes={"press": "disarm"}) in bodies(found)
    old = state("button", action="emergency")
    retained = Message(old.channel, old.data, {"retained": "1"})
    assert bodies(session().receive(retained, NOW)) == [Telemetry({})]


def test_a_state_from_before_is_marked() -> None:
    message = state("one", smoke=True)
    [alarm, _] = session().receive(Message(message.channel, message.data, {"retained": "1"}), NOW)
    assert isinstance(alarm, Observation)
    assert alarm.flags == ("retained",)
    assert alarm.frame_id == ""  # an equal message may be another event


@pytest.mark.parametrize("data", [b"offline", b'{"state":"offline"}'])
def test_a_device_that_is_away_is_lost_contact_and_no_device_of_its_own(data: bytes) -> None:
    link = session()
    away = Message("zigbee2mqtt/hall/smoke_1/availability", data)
    [lost] = link.receive(away, NOW)
    assert isinstance(lost, Observation)
    assert (lost.device, lost.body) == ("zigbee2mqtt:hall/smoke_1", Alarm(kind="lost_contact"))
    back = Message("zigbee2mqtt/hall/smoke_1/availability", data.replace(b"offline", b"online"))
    assert bodies(link.receive(back, NOW)) == [Alarm(kind="lost_contact", raised=False)]
    assert bodies(link.receive(back, NOW)) == []


def test_the_bridge_away_is_lost_contact_of_the_bridge() -> None:
    [lost] = session().receive(bridge("state", state="offline"), NOW)
    assert isinstance(lost, Observation)
    assert (lost.device, lost.body) == ("zigbee2mqtt:bridge", Alarm(kind="lost_contact"))


def test_a_device_that_joins_unasked_is_an_alarm() -> None:
    joined = bridge("event", type="device_joined", data={"friendly_name": "0x00158d00", "ieee_address": "0x00158d00"})
    alarm, event = bodies(session().receive(joined, NOW))
    assert isinstance(alarm, Alarm)
    assert alarm.kind == "network_intrusion"
    assert event == Event(kind="joined", attributes={"name": "0x00158d00"})
    assert bodies(session(joining_expected=True).receive(joined, NOW)) == [event]


def test_volts_have_the_unit_of_the_inventory() -> None:
    link = session()
    assert told(link, "plug", voltage=231) == []
    assert bodies(link.receive(state("plug", voltage=231), NOW)) == [Telemetry({})]
    assert bodies(link.receive(state("door", voltage=2900, battery=50), NOW)) == [
        Telemetry({"battery_percent": 50, "voltage_v": 2.9})
    ]
    inventory = [{"friendly_name": "plug", "definition": {"exposes": [{"property": "voltage", "unit": "V"}]}}, 7]
    link.receive(Message("zigbee2mqtt/bridge/devices", json.dumps(inventory).encode()), NOW)
    assert bodies(link.receive(state("plug", voltage=231), NOW)) == [Telemetry({"voltage_v": 231})]


def test_values_on_topics_of_their_own() -> None:
    link = session()
    assert bodies(link.receive(Message("zigbee2mqtt/hall/one/smoke", b"true"), NOW))[0] == Alarm(kind="smoke")
    assert bodies(link.receive(Message("zigbee2mqtt/hall/one/battery", b"80"), NOW)) == [
        Telemetry({"battery_percent": 80})
    ]
    named_so = link.receive(Message("zigbee2mqtt/hall/smoke", b'{"smoke":true}'), NOW)[0]
    assert isinstance(named_so, Observation)
    assert named_so.device == "zigbee2mqtt:hall/smoke"


def test_answers_of_the_bridge_and_words_of_others() -> None:
    link = session()
    said = link.receive(bridge("response/permit_join", status="error", error="no", transaction="t-1"), NOW)
    [answer] = bodies(said)
    assert isinstance(answer, Event)
    assert answer.attributes == {
        "request": "permit_join",
        "status": "error",
        "error": "no",
        "transaction": "t-1",
        "outcome": "refused",
    }
    assert link.receive(Message("zigbee2mqtt/lock/set", b'{"state":"UNLOCK"}'), NOW) == []
    [elsewhere] = link.receive(Message("other/lock", b"{}"), NOW)
    assert isinstance(elsewhere, Rejected)


def test_what_is_sent_is_as_documented() -> None:
    assert zigbee2mqtt_wire.lock("z", "main", locked=True) == Message("z/main/set", b'{"state":"LOCK"}')
    siren = zigbee2mqtt_wire.siren("z", "hall", "fire", 30)
    assert json.loads(siren.data) == {"warning": {"mode": "fire", "level": "high", "strobe": True, "duration": 30}}
    answer = zigbee2mqtt_wire.keypad_answer("z", "keypad", "arm_all_zones", 7)
    assert json.loads(answer.data) == {"arm_mode": {"mode": "arm_all_zones", "transaction": 7}}
    assert zigbee2mqtt_wire.permit_join("z", 0, "t").channel == "z/bridge/request/permit_join"
    assert json.loads(zigbee2mqtt_wire.switch("z", "relay", on=False).data) == {"state": "OFF"}
    assert zigbee2mqtt_wire.ask("z", "lock", "state").channel == "z/lock/get"


def asked(action: str, native_id: str = "lock", **args: str) -> DeviceCommand:
    return DeviceCommand(nonce=f"n-{action}", native_id=native_id, action=action, args=args)


def answers(found: list[Result]) -> list[CommandAnswer]:
    return [result for result in found if isinstance(result, CommandAnswer)]


def test_a_lock_confirms_with_its_bolt() -> None:
    link = session()
    link.command(asked("unlock"), NOW)
    assert link.to_send() == [Message("zigbee2mqtt/lock/set", b'{"state":"UNLOCK"}')]
    assert link.to_send() == []
    moving = state("lock", state="UNLOCK", lock_state="not_fully_locked")
    assert answers(link.receive(moving, NOW)) == []
    open_ = state("lock", state="UNLOCK", lock_state="unlocked")
    assert answers(link.receive(Message(open_.channel, open_.data, {"retained": "1"}), NOW)) == []
    assert answers(link.receive(open_, NOW)) == [CommandAnswer(nonce="n-unlock", result="confirmed")]
    assert answers(link.receive(open_, NOW)) == []


def test_a_relay_confirms_and_the_bridge_answers() -> None:
    link = session()
    link.command(asked("switch_on", "relay"), NOW)
    assert answers(link.receive(state("relay", state="OFF"), NOW)) == []
    assert answers(link.receive(state("relay", state="ON"), NOW)) == [
        CommandAnswer(nonce="n-switch_on", result="confirmed")
    ]
    link.command(asked("permit_join", "bridge", time_s="60"), NOW)
    refused = bridge("response/permit_join", status="error", transaction="n-permit_join")
    assert answers(link.receive(refused, NOW)) == [CommandAnswer(nonce="n-permit_join", result="refused")]


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (asked("explode"), "no command explode"),
        (asked("siren", mode="loud"), "no command siren"),
        (asked("siren", mode="fire", duration_s="1e9"), "no number of seconds"),
        (asked("read", attribute="x/../y"), "no command read"),
        (asked("permit_join", time_s="60"), "does not take"),
        (asked("lock", "bridge"), "does not take"),
    ],
)
def test_commands_that_cannot_be_are_refused(command: DeviceCommand, text: str) -> None:
    link = session()
    with pytest.raises(CommandRefused, match=text):
        link.command(command, NOW)
    assert link.to_send() == []
    stranger = zigbee2mqtt.Session(zigbee2mqtt.Settings(), frozenset())
    with pytest.raises(CommandRefused, match="not enrolled"):
        stranger.command(asked("lock"), NOW)


@pytest.mark.parametrize("topic", ["", "z/#", "z/"])
def test_a_base_topic_that_cannot_be_is_refused(topic: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="base_topic"):
        msgspec.convert({"base_topic": topic}, zigbee2mqtt.Settings)

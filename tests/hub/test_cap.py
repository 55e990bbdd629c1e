"""CAP 1.2: what is refused and why; what is written reads the same; any bytes are an alert or a CapError."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hub.cap import Alert, Area, CapError, Circle, Info, Reference, Resource
from hub.cap_xml import read, write

SENT = datetime(2026, 11, 25, 20, 15, tzinfo=timezone(timedelta(hours=8)))
RING = ((30.74, 120.48), (30.74, 120.49), (30.75, 120.49), (30.74, 120.48))
AREA = Area(
    description="A区1层 <lobby> & stairs",
    polygons=(RING,),
    circles=(Circle(30.74, 120.48, 0.05),),
    geocodes=(("GB/T 2260", "330483"), ("GB/T 2260", "330402")),
    altitude_ft=12.5,
)
INFO = Info(
    language="zh-CN",
    categories=("Fire", "Rescue"),
    event="火灾报警",
    responses=("Evacuate",),
    urgency="Immediate",
    severity="Severe",
    certainty="Observed",
    expires=SENT + timedelta(hours=1),
    headline="烟感报警",
    event_codes=(("gridward", "smoke"),),
    parameters=(("grade", "red"), ("remark", "")),
    resources=(Resource(description="plan", mime_type="image/png", size=120, digest="00ff"),),
    areas=(AREA,),
)
ALERT = Alert(
    identifier="wuzhen-17-2",
    sender="hub@wuzhen.example",
    sent=SENT,
    status="Exercise",
    message_type="Update",
    scope="Private",
    addresses=("fire-desk", "town leader"),
    references=(Reference("hub@wuzhen.example", "wuzhen-17-1", datetime(2026, 11, 25, 12, 14, tzinfo=UTC)),),
    incidents=("17",),
    infos=(INFO,),
)


def text(alert: Alert = ALERT) -> str:
    return write(alert).decode()


def test_what_is_written_reads_the_same() -> None:
    assert read(write(ALERT)) == ALERT


def test_elements_stand_in_the_order_of_the_schema() -> None:
    order = "identifier sender sent status msgType scope addresses references incidents info".split()
    places = [text().index(f"<{name}>") for name in order]
    assert places == sorted(places)


def test_utc_is_written_without_z() -> None:
    assert "2026-11-25T12:14:00-00:00</references>" in text()


WRONG_WORDS = {
    "status": "Real",
    "msgType": "Information",
    "scope": "Secret",
    "category": "Flood",
    "responseType": "Run",
    "urgency": "Now",
    "severity": "Bad",
    "certainty": "Sure",
}


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_words_that_cap_does_not_have_are_refused(name: str) -> None:
    head, _, rest = text().partition(f"<{name}>")
    changed = f"{head}<{name}>{WRONG_WORDS[name]}<{rest.partition('<')[2]}"
    with pytest.raises(CapError, match=name):
        read(changed.encode())


NEEDED = "identifier sender sent status msgType scope category event urgency severity certainty areaDesc".split()


@pytest.mark.parametrize("name", [*NEEDED, "resourceDesc", "mimeType", "valueName"])
def test_what_is_required_is_missed(name: str) -> None:
    changed = text()
    while f"<{name}>" in changed:
        head, _, rest = changed.partition(f"<{name}>")
        changed = head + rest.partition(f"</{name}>")[2]
    with pytest.raises(CapError, match=name):
        read(changed.encode())


@pytest.mark.parametrize(
    ("alert", "why"),
    [
        (replace(ALERT, references=()), "references"),
        (replace(ALERT, addresses=()), "addresses"),
        (replace(ALERT, scope="Restricted"), "restriction"),
        (replace(ALERT, identifier="a b"), "identifier"),
        (replace(ALERT, identifier="a,b"), "identifier"),
        (replace(ALERT, sender="a&b"), "sender"),
        (replace(ALERT, infos=(replace(INFO, areas=(replace(AREA, polygons=(RING[:3],)),)),)), "polygon"),
        (replace(ALERT, infos=(replace(INFO, areas=(replace(AREA, polygons=((*RING[:3], RING[1]),)),)),)), "polygon"),
        (replace(ALERT, infos=(replace(INFO, areas=(replace(AREA, circles=(Circle(91, 0, 1),)),)),)), "circle"),
        (replace(ALERT, infos=(replace(INFO, areas=(replace(AREA, circles=(Circle(0, 0, -1),)),)),)), "radius"),
    ],
)
def test_what_breaks_a_rule_is_not_written(alert: Alert, why: str) -> None:
    with pytest.raises(CapError, match=why):
        write(alert)


@pytest.mark.parametrize(
    "sent", ["2026-11-25T20:15:00Z", "2026-11-25T20:15:00", "2026-11-25T20:15:00.5+08:00", "2026-13-25T20:15:00+08:00"]
)
def test_times_need_a_numeric_offset_and_no_fraction(sent: str) -> None:
    with pytest.raises(CapError, match="sent"):
        read(text().replace("2026-11-25T20:15:00+08:00</sent>", f"{sent}</sent>").encode())


@pytest.mark.parametrize("place", ["30.8", "30.8,nan", "30.8,120.5,7", "x,y"])
def test_positions_are_two_numbers(place: str) -> None:
    with pytest.raises(CapError):
        read(text().replace("30.74,120.48 0.05", f"{place} 0.05").encode())


def test_an_element_of_another_namespace_is_none_of_caps() -> None:
    changed = text().replace("<status>Exercise</status>", '<status xmlns="urn:other">Exercise</status>')
    with pytest.raises(CapError, match="status"):
        read(changed.encode())


def test_a_certainty_of_cap_1_0_is_read() -> None:
    changed = text().replace("<certainty>Observed<", "<certainty>Very Likely<")
    assert read(changed.encode()).infos[0].certainty == "Likely"


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda inner: f"<alert>{inner}</alert>".encode()))
def test_any_bytes_are_an_alert_or_refused(data: bytes) -> None:
    with pytest.raises(CapError):
        read(data)


PRINTABLE = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=50)


@given(PRINTABLE, PRINTABLE, PRINTABLE)
def test_any_text_comes_back(event: str, name: str, value: str) -> None:
    alert = replace(ALERT, infos=(replace(INFO, event=event, parameters=((name, value),)),))
    assert read(write(alert)) == alert


def test_characters_that_xml_cannot_hold_are_left_out() -> None:
    alert = replace(ALERT, infos=(replace(INFO, event="smoke\x08 in\x00 A"),))
    assert read(write(alert)).infos[0].event == "smoke in A"

"""Devices that the hub enrols: who is taken and who is refused, at once on open connections, and after a restart."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devices.documents import Document, sign
from devices.families import FAMILIES
from devices.observation import DeviceId, Event, Observation
from edge import clock, enrolment
from edge.config import family_settings
from edge.contacts import Contacts
from edge.enrolment import IN_FILE, Enrolment, Told
from edge.reports import REPORTS_MAX, SHARE_MIN, Reports
from tests.conftest import BrokerAddress
from tests.devices import frames
from tests.edge import site
from tests.edge.hub_side import HubSide
from tests.edge.process import AgentProcess
from tests.edge.site import BAND, PANEL, TERMINAL, Device, until

KEY = Ed25519PrivateKey.generate()
NEW = "watch:9900000000"
NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
_numbers = itertools.count(1)
READERS = {
    "name": "gate",
    "kind": "serial",
    "family": "osdp",
    "path": "/dev/null",
    "settings": {"readers": [{"address": 1}]},
}


def enrolled(folder: Path, **changes: Any) -> Enrolment:
    config = site.config(folder, **changes)
    settings = {link.name: family_settings(link, FAMILIES[link.family], "UTC") for link in config.links}
    return Enrolment(config, FAMILIES, settings)


def told(made: Enrolment, *devices: dict[str, Any]) -> Told:
    return made.read({"devices": list(devices)})


# --- who is taken ---


def test_what_the_hub_enrols_stands_beside_the_file_and_goes_with_the_document(tmp_path: Path) -> None:
    made = enrolled(tmp_path)
    bands = made.of_family("watch")
    first = made.use(told(made, {"id": NEW, "link": "watch", "name": "Guard 7", "zone": "hall", "floor": "2"}))
    assert (set(first.fresh), set(first.gone), made.refused) == ({NEW}, set(), {})
    assert bands == {"8800000015", "9900000000"}, "the very set that the links have"
    assert NEW in made and made.devices[NEW].zone == "hall" and made.link_of(NEW) == "watch"
    assert made.silence_s_max(NEW) == FAMILIES["watch"].silence_s_max
    again = made.use(told(made, {"id": NEW, "zone": "yard"}))
    assert not again.fresh and not again.gone and made.devices[NEW].zone == "yard"
    last = made.use(told(made))
    assert (set(last.fresh), set(last.gone)) == (set(), {NEW}) and bands == {"8800000015"} and BAND in made


def test_the_file_wins(tmp_path: Path) -> None:
    made = enrolled(tmp_path)
    change = made.use(told(made, {"id": PANEL, "zone": "yard"}, {"id": NEW}))
    assert made.devices[PANEL].zone == "hall" and made.refused == {PANEL: IN_FILE} and set(change.fresh) == {NEW}
    assert PANEL in made and made.use(told(made)).gone == {NEW}, "what the hub never enrolled it cannot take away"


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ({"id": "toaster:1"}, "family_unknown"),
        ({"id": "no-family"}, "family_unknown"),
        ({"id": "nmea:1"}, "link_unknown"),
        ({"id": NEW, "link": "jt808"}, "link_unknown"),
        ({"id": NEW, "link": "gone"}, "link_unknown"),
        ({"id": "watch:a b"}, "unreadable"),
        ({"id": NEW, "longitude": 181.0, "latitude": 1.0}, "unreadable"),
        ({"id": NEW, "zone": "Hall A"}, "unreadable"),
        ({"id": "osdp:bus/7"}, "settings_lack: readers: address 7"),
        ({"id": "osdp:other/1", "link": "gate"}, "settings_lack: bus other"),
    ],
)
def test_who_cannot_be_enrolled_is_refused_alone(tmp_path: Path, device: dict[str, Any], reason: str) -> None:
    made = enrolled(tmp_path, links=[*site.told(tmp_path)["links"], READERS])
    change = made.use(told(made, device, {"id": "watch:1"}, {"id": "osdp:bus/1"}))
    assert made.refused == made.refused_said() == {device["id"]: reason}
    assert set(change.fresh) == {"watch:1", "osdp:bus/1"}


def test_there_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = enrolled(tmp_path)
    monkeypatch.setattr(enrolment, "DEVICES_MAX", 5)
    made.use(told(made, *({"id": f"watch:{number}"} for number in range(4))))
    assert len(made.devices) == 5 and made.refused == {"watch:2": "too_many", "watch:3": "too_many"}
    with pytest.raises(msgspec.ValidationError):
        told(made, *({"id": f"watch:{number}"} for number in range(enrolment.OFFERED_DEVICES_MAX + 1)))


def test_only_so_many_refusals_are_told_and_first_those_that_matter(tmp_path: Path) -> None:
    made = enrolled(tmp_path)
    strange = [{"id": f"toaster:{number:03d}"} for number in range(enrolment.REFUSED_SAID_MAX)]
    made.use(told(made, {"id": PANEL}, *strange))
    assert len(made.refused) == enrolment.REFUSED_SAID_MAX + 1
    assert len(made.refused_said()) == enrolment.REFUSED_SAID_MAX and PANEL not in made.refused_said()


@pytest.mark.parametrize("body", [None, {}, {"devices": [{}]}, {"devices": [7]}, {"devices": [{"id": 7}]}])
def test_a_body_of_another_shape_is_no_document(tmp_path: Path, body: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        enrolled(tmp_path).read(body)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_no_family_lacks_what_its_own_example_has(name: str) -> None:
    family = FAMILIES[name]
    settings = msgspec.convert(dict(family.example.settings), family.settings)
    assert family.lacks is None or family.lacks(settings, family.example.native_id) == ""


# --- what follows from it ---


def test_a_device_is_watched_from_its_enrolment_and_forgotten_with_it() -> None:
    device, lost = DeviceId(NEW), DeviceId(TERMINAL)
    watched = Contacts({}, (lost,), 0.0, {})
    watched.watch(device, 60.0, "watch", 100.0)
    watched.watch(lost, 60.0, "jt808", 100.0)
    assert watched.lost == [TERMINAL] and watched.gone(NOW) == [], "it was lost before the restart"
    watched.excuse(10.0, 130.0, "watch")
    assert watched.overdue(165.0, NOW) == []
    assert [one.device for one in watched.overdue(170.1, NOW)] == [NEW]
    cleared = watched.forget(device, NOW)
    assert cleared is not None and not cleared.body.raised  # type: ignore[union-attr]
    assert watched.forget(device, NOW) is None and watched.overdue(10_000.0, NOW) == []
    assert watched.heard(device, "watch", 10_001.0, NOW) is None


def test_the_memory_of_reports_is_not_made_for_the_file_alone() -> None:
    """What hub-enrolled devices reported is known again after a restart, however few devices the file has."""
    before, after = Reports(1, 200), Reports(1, 200)
    for number in range(100):
        before.offer(f"watch:{number}", "report")
        stored = before.fresh()
        before.settle()
        after.load(stored)
    assert all(after.holds(f"watch:{number}", "report") for number in range(100))
    after.expect(REPORTS_MAX)
    assert after.stored_max == 2 * REPORTS_MAX * SHARE_MIN


# --- the whole edge ---


class Site:
    """A hub that enrols, an agent, and the device's wire."""

    def __init__(self, hub: HubSide, agent: AgentProcess) -> None:
        self.hub, self.agent = hub, agent

    async def say(self, version: int, *devices: dict[str, Any]) -> None:
        now = clock.now()
        body = {"devices": list(devices)}
        made = Document(
            name="devices", version=version, audience="*", issued_at=now, expires_at=now + timedelta(days=1), body=body
        )
        await self.hub.say("down/devices", sign(made, KEY))
        await until(
            lambda: self.hub.states and self.hub.states[-1].documents.get("devices") == version, "the state tells of it"
        )

    def strangers(self) -> list[str]:
        events = [row.body for row in self.hub.rows["urgent"] if isinstance(row.body, Event)]
        return [body.attributes["device"] for body in events if body.kind == "unknown_device"]

    def rows(self, device: str) -> list[Observation]:
        return [row for row in self.hub.all_rows if row.device == device]


@asynccontextmanager
async def running(folder: Path, broker: BrokerAddress, gateway: str) -> AsyncIterator[Site]:
    public = folder / "hub.pub"
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    config = site.write(folder, gateway=gateway, broker={"port": broker.port}, hub_public_key_file=str(public))
    async with HubSide(*broker, gateway) as hub, AgentProcess(config) as agent:
        await until(lambda: agent.said("uplink_connected"), "connected")
        yield Site(hub, agent)


def battery(percent: int) -> bytes:
    return frames.watch(f"LK,1,2,{percent}", device="9900000000")


async def test_a_stranger_is_enrolled_on_its_open_connection_and_for_good(
    tmp_path: Path, broker: BrokerAddress
) -> None:
    gateway = f"enrol-{next(_numbers)}"
    async with running(tmp_path, broker, gateway) as made, Device(made.agent.port("watch")) as band:
        band.send(battery(50))
        await until(lambda: made.strangers() == [NEW], "it is named")
        await made.say(1, {"id": NEW, "link": "watch", "zone": "hall"}, {"id": PANEL}, {"id": "toaster:1"})
        refused = {PANEL: "in_file", "toaster:1": "family_unknown"}
        assert made.hub.states[-1].devices_refused == refused
        assert {line["device"]: line["reason"] for line in made.agent.said("device_not_taken")} == refused
        band.send(battery(51))
        await until(lambda: made.rows(NEW), "its next frame is a report")
        assert made.rows(NEW)[0].zone == "hall" and band.received
        await made.say(2)
        band.send(battery(52))
        await until(lambda: made.strangers() == [NEW, NEW], "a stranger again, and named at once")
        await made.say(3, {"id": NEW})
    async with running(tmp_path, broker, gateway) as made, Device(made.agent.port("watch")) as band:
        band.send(battery(53))
        await until(lambda: made.rows(NEW), "accepted after a restart, without a word of the hub")


async def test_what_enrolled_devices_send_again_after_a_restart_is_known(tmp_path: Path, broker: BrokerAddress) -> None:
    """More of them than a memory that is made for the file's devices would hold."""
    gateway, phones = f"enrol-{next(_numbers)}", [f"0139000010{number:02d}" for number in range(40)]
    reports = [frames.jt808("0200", frames.LOCATION_BODY, phone=phone) for phone in phones]
    devices = [f"jt808:{phone.lstrip('0')}" for phone in phones]
    async with running(tmp_path, broker, gateway) as made, Device(made.agent.port("jt808")) as terminals:
        await made.say(1, *({"id": device} for device in devices))
        terminals.send(b"".join(reports))
        await until(lambda: all(made.rows(device) for device in devices), "all are accepted")
    async with running(tmp_path, broker, gateway) as made, Device(made.agent.port("jt808")) as terminals:
        restarted_at = clock.now()  # what was not committed before the end is sent once more, as it was
        terminals.send(b"".join(reports) + frames.jt808("0200", frames.LOCATION_BODY, phone=phones[0], serial=8))

        def fresh() -> set[str]:
            return {row.device for row in made.hub.rows["routine"] if row.received_at > restarted_at} & set(devices)

        await until(fresh, "what is new")
        assert fresh() == {devices[0]}

"""An ONVIF door controller with a pull point: who asks is told what has happened, or nothing after a while.

    GetSystemDateAndTime, CreatePullPointSubscription, PullMessages, Renew, as SOAP; the answers are named …Response

Nobody confirms what was pulled. Settings: `report_every_s` (passages). Actions: duress, forced, forced_over.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from msgspec import convert

from simulators.device import Accepted, Packet
from simulators.family import EdgeKeys
from simulators.scripted import Periods, Sender, no_args
from simulators.spec import DeviceSpec

DOOR = "door-1"
LASTS = timedelta(seconds=60)
SOAP = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{}</s:Body></s:Envelope>'
EVENTS = "http://www.onvif.org/ver10/events/wsdl"
NOTIFICATION = (
    '<wsnt:NotificationMessage xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" xmlns:tns1="http://www.onvif.org/ver10/'
    'topics" xmlns:tt="http://www.onvif.org/ver10/schema"><wsnt:Topic>tns1:{topic}</wsnt:Topic><wsnt:Message>'
    '<tt:Message UtcTime="{time}"{operation}><tt:Source><tt:SimpleItem Name="DoorToken" Value="{door}"/></tt:Source>'
    '<tt:Data><tt:SimpleItem Name="{name}" Value="{value}"/></tt:Data></tt:Message></wsnt:Message>'
    "</wsnt:NotificationMessage>"
)


class OnvifController(Sender):
    WHAT, FAMILY = "a door controller", "onvif"
    ACTIONS: ClassVar = no_args("duress", "forced", "forced_over")
    CONFIRMED = False
    PATIENCE_S = 2.0

    def __init__(self, native_id: str, periods: Periods, seed: int) -> None:
        super().__init__(native_id, periods, seed)
        self._asked_until: datetime | None = None
        self._now: datetime | None = None
        self.ready = False  # what has happened waits until it is pulled

    def happened(self, action: str, said: Any, at: datetime) -> None:
        if action == "duress":
            row = self.row("duress", at, f"AccessControl/Duress DoorToken={DOOR}", raised=True)
            self._notify(at, "AccessControl/Duress", "", ("CredentialToken", "4711"), row)
            return
        raised = action == "forced"
        row = self.row("door_forced", at, f"Door/State/DoorAlarm DoorToken={DOOR}", raised=raised)
        self._notify(at, "Door/State/DoorAlarm", "Changed", ("State", "DoorForcedOpen" if raised else "Normal"), row)

    def measured(self, at: datetime) -> None:
        row = self.row("access", at, f"AccessControl/AccessGranted/Credential DoorToken={DOOR}")
        self._notify(at, "AccessControl/AccessGranted/Credential", "", ("CredentialToken", "4711"), row)

    def tick(self, now: datetime) -> None:
        self._now = now
        self.ready = self._asked_until is not None
        super().tick(now)

    def receive(self, packet: Packet, now: datetime) -> None:
        self._asked_until = None
        if b"PullMessages" in packet.data:
            self._asked_until = now + timedelta(seconds=self.PATIENCE_S / 2)
            return
        moment, until = f"{now:%Y-%m-%dT%H:%M:%SZ}", f"{now + LASTS:%Y-%m-%dT%H:%M:%SZ}"
        times = f"<CurrentTime>{moment}</CurrentTime><TerminationTime>{until}</TerminationTime>"
        if b"GetSystemDateAndTime" in packet.data:
            date = f"<Date><Year>{now.year}</Year><Month>{now.month}</Month><Day>{now.day}</Day></Date>"
            time = f"<Time><Hour>{now.hour}</Hour><Minute>{now.minute}</Minute><Second>{now.second}</Second></Time>"
            inner = f"<SystemDateAndTime><UTCDateTime>{time}{date}</UTCDateTime></SystemDateAndTime>"
            self._reply("GetSystemDateAndTime", inner)
        elif b"CreatePullPointSubscription" in packet.data:
            place = "<SubscriptionReference><Address>http://device/onvif/pull</Address></SubscriptionReference>"
            self._reply("CreatePullPointSubscription", place + times)
        else:
            self._reply("Renew", times)

    def to_send(self) -> list[Packet]:
        """One answer, to the question that was asked last."""
        packets = super().to_send()
        answers = [packet for packet in packets if packet.channel]
        happened = b"".join(packet.data for packet in packets if not packet.channel).decode()
        waited = self._asked_until is not None and self._now is not None and self._now >= self._asked_until
        if not happened and not waited:
            return answers
        self._asked_until = None
        return [_answer("PullMessages", happened)]

    def _notify(self, at: datetime, topic: str, operation: str, item: tuple[str, str], row: Accepted) -> None:
        said = f' PropertyOperation="{operation}"' if operation else ""
        name, value = item
        text = NOTIFICATION.format(
            topic=topic, time=f"{at:%Y-%m-%dT%H:%M:%SZ}", operation=said, door=DOOR, name=name, value=value
        )
        self.tell(self.next_key(), Packet("", text.encode()), row)

    def _reply(self, name: str, inner: str) -> None:
        self.remark(_answer(name, inner))


def _answer(name: str, inner: str) -> Packet:
    body = SOAP.format(f'<{name}Response xmlns="{EVENTS}">{inner}</{name}Response>')
    return Packet("answer", body.encode(), headers={"content-type": "application/soap+xml"})


def build(native_id: str, settings: dict[str, Any], seed: int) -> OnvifController:
    return OnvifController(native_id, convert(settings, Periods), seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    return {"settings": {"device": specs[0].id, "event_path": "/onvif/event_service"}}

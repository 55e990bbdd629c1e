"""Hikvision devices that push their events themselves (ISAPI httpHosts). Meaning, enrolment and quirks: hikvision.py.

Configure the device (`/ISAPI/Event/notification/httpHosts`, "HTTP listening" in its menus) with the edge's address and
the path `/SECRET/events`: pushes carry no login, so the link's path secret and its list of allowed addresses are all
the trust there is.

A request is one event: XML or JSON, or multipart/form-data whose other parts are pictures, which are dropped. It is
answered 200 once the event is durable; a device that is not answered repeats it or stops. One that is not enrolled is
answered 403, so that it keeps its records; what cannot be read is answered 200, else it would come for ever.

Times are as in hikvision.py.
"""

from collections.abc import Container
from datetime import datetime

from devices.families.hikvision import Events, EventSettings
from devices.family import Example, Message, MessageFamily
from devices.multipart import Part, parts_of
from devices.observation import Result, rejected

MESSAGE_BYTES_MAX = 8_388_608  # an event and its pictures
PARTS_MAX = 20


class Session:
    """See devices.family.MessageSession."""

    def __init__(self, settings: EventSettings, enrolled: Container[str]) -> None:
        self._events = Events("hikvision_push", settings, enrolled)

    def receive(self, message: Message, now: datetime) -> list[Result]:
        parts = _parts(message)
        found = [result for part in parts for result in self._events.part(part, now)]
        if not any(not part.is_picture for part in parts):
            found.append(rejected("event missing", message.data))
        return [*found, *self._events.over(now)]

    def to_send(self) -> list[Message]:
        return []


def _parts(message: Message) -> list[Part]:
    kind = message.headers.get("content-type", "").lower()
    if kind.startswith("multipart/") or message.data.startswith(b"--"):
        return parts_of(message.data, MESSAGE_BYTES_MAX)[:PARTS_MAX]
    return [Part({"content-type": kind}, message.data)]


FAMILY = MessageFamily(
    name="hikvision_push",
    title="Hikvision cameras, recorders and door terminals, events pushed",
    links=("http_server",),
    integrity="",
    message_bytes_max=MESSAGE_BYTES_MAX,
    silence_s_max=86_400,
    settings=EventSettings,
    open_session=Session,
    unreadable_told=False,
    native_id="as in hikvision: the MAC address, else the IP address, else the setting `device`",
    example=Example("88:de:39:5d:b5:e1", {"allow": ["10.0.0.0/24"], "path_secret_file": "push.secret"}),
)

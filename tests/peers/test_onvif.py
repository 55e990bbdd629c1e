"""ONVIF with a responder made from the real WSDL: zeep reads what we ask and writes what we are answered.

The package onvif-zeep-async is here for its WSDL files and for zeep.
"""

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any

import msgspec
import onvif as wsdls
import zeep
from aiohttp import web
from lxml import etree

from devices.families import onvif
from devices.observation import Alarm
from edge.links_http_client import HttpClient
from tests.edge.site import until
from tests.edge.test_links_http_client import device
from tests.edge.wired import behind

CAMERA, USER, PASSWORD = "cam-7", "gridward", "secret"
AHEAD = timedelta(hours=3)  # of the camera's clock
LASTS = timedelta(seconds=0.5)  # a subscription that nobody renews
SOAP = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://www.w3.org/2005/08/addressing"
EVENTS, DEVICE = "http://www.onvif.org/ver10/events/wsdl", "http://www.onvif.org/ver10/device/wsdl"
WSNT, SCHEMA = "http://docs.oasis-open.org/wsn/b-2", "http://www.onvif.org/ver10/schema"
TAMPERED = (
    f'<tt:Message xmlns:tt="{SCHEMA}" UtcTime="{{at}}" PropertyOperation="Changed"><tt:Source><tt:SimpleItem '
    'Name="VideoSource" Value="0"/></tt:Source><tt:Data><tt:SimpleItem Name="State" Value="{state}"/></tt:Data>'
    "</tt:Message>"
)


class Camera:
    """A pull point. Every request is checked against the schema, every answer is rendered from it."""

    def __init__(self) -> None:
        folder = Path(wsdls.__file__).parent / "wsdl"
        self._events = zeep.Client(str(folder / "events.wsdl"))
        self._device = zeep.Client(str(folder / "devicemgmt.wsdl"))
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.waiting: list[str] = []  # states to tell
        self.forgotten = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        root = etree.fromstring(await request.read())
        [body] = root.find(f"{{{SOAP}}}Body")
        name = etree.QName(body)
        self.asked.append(name.localname)
        client = self._device if name.namespace == DEVICE else self._events
        client.get_element(name.text).parse(body, client.wsdl.types)  # raises what the schema does not know
        self._check(root, name.localname)
        if name.localname == "PullMessages" and self.forgotten:
            self.forgotten = False
            detail = "<s:Detail><ResourceUnknownFault/></s:Detail>"
            return self._say(f"<s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code>{detail}</s:Fault>", 400)
        return self._say(self._answer(name, request))

    def _check(self, root: Any, name: str) -> None:
        action = root.find(f"{{{SOAP}}}Header/{{{WSA}}}Action")
        if action is None or not action.text.rpartition("/")[2].startswith(name):
            self.wrong.append(f"{name}: action")
        if name == "GetSystemDateAndTime":
            return  # asked before a login is possible
        said = {etree.QName(one).localname: one.text for one in root.iter() if one.text}
        proof = sha1(b64decode(said["Nonce"]) + said["Created"].encode() + PASSWORD.encode(), usedforsecurity=False)
        skew = abs(datetime.fromisoformat(said["Created"]) - self._now())
        if said["Password"] != b64encode(proof.digest()).decode() or skew > timedelta(seconds=5):
            self.wrong.append(f"{name}: login")

    def _now(self) -> datetime:
        return datetime.now(UTC) + AHEAD

    def _answer(self, name: Any, request: web.BaseRequest) -> str:
        now = self._now()
        until_ = {"CurrentTime": now, "TerminationTime": now + LASTS}
        reference = {"Address": f"http://{request.host}/onvif/Subscription?Idx=3"}
        given: dict[str, dict[str, Any]] = {
            "GetSystemDateAndTime": {"SystemDateAndTime": self._date(now)},
            "CreatePullPointSubscription": {"SubscriptionReference": reference, **until_},
            "PullMessages": {**until_, "NotificationMessage": [self._told(state, now) for state in self.waiting]},
            "Renew": until_,
        }
        if name.localname == "PullMessages":
            self.waiting.clear()
        client = self._device if name.namespace == DEVICE else self._events
        element = client.get_element(f"{name.text}Response")
        parent = etree.Element("Body")
        element.render(parent, element(**given[name.localname]))
        return str(etree.tostring(parent[0]).decode())

    def _date(self, now: datetime) -> dict[str, Any]:
        utc = {
            "Time": {"Hour": now.hour, "Minute": now.minute, "Second": now.second},
            "Date": {"Year": now.year, "Month": now.month, "Day": now.day},
        }
        return {"DateTimeType": "NTP", "DaylightSavings": False, "UTCDateTime": utc}

    def _told(self, state: str, now: datetime) -> dict[str, Any]:
        message = etree.fromstring(TAMPERED.format(at=f"{now - AHEAD:%Y-%m-%dT%H:%M:%SZ}", state=state))
        return {
            "Topic": {
                "_value_1": "tns1:RuleEngine/TamperDetector/Tamper",
                "Dialect": "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet",
            },
            "Message": {"_value_1": message},
        }

    def _say(self, body: str, status: int = 200) -> web.Response:
        text = f'<s:Envelope xmlns:s="{SOAP}"><s:Body>{body}</s:Body></s:Envelope>'
        return web.Response(text=text, status=status, content_type="application/soap+xml")


async def test_a_pull_point_of_the_wsdl(tmp_path: Path) -> None:
    camera = Camera()
    given = {"device": CAMERA, "event_path": "/onvif/event_service", "user": USER, "password": PASSWORD}
    settings = msgspec.convert(given, onvif.Settings)

    async with behind(tmp_path) as made, device(camera) as url:

        def told() -> list[tuple[str, bool]]:
            return [(row.body.kind, row.body.raised) for row in made.rows() if isinstance(row.body, Alarm)]

        link = HttpClient(made.wiring(settings, CAMERA), onvif.FAMILY, url=url, period_s=0.1)
        await link.open()
        try:
            camera.waiting.append("true")
            await until(lambda: told() == [("tamper", True)], "raised")
            camera.forgotten = True
            await until(lambda: camera.asked.count("CreatePullPointSubscription") == 2, "subscribed again")
            camera.waiting.append("false")
            await until(lambda: told() == [("tamper", True), ("tamper", False)], "cleared")
            await until(lambda: "Renew" in camera.asked, "kept alive")
        finally:
            link.stop_reading()
            await link.close()
    assert camera.asked[:3] == ["GetSystemDateAndTime", "CreatePullPointSubscription", "PullMessages"]
    assert camera.wrong == []

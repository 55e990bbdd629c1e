"""A face gate that pushes what it recognises, GA/T 1400 (VIID): it registers with HTTP digest first.

    POST /VIID/System/Register {"RegisterObject": {"DeviceID"}}     401 with a challenge, then again with its proof
    POST /VIID/Faces, /VIID/DispositionNotifications: lists of objects; 401 means that it must register again

Settings: `report_every_s` (faces), `heartbeat_s` (keep-alive), `user`, `password`. Actions: match (someone wanted).
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

from msgspec import convert, json

from simulators.device import Accepted, Packet
from simulators.family import EdgeKeys
from simulators.scripted import Periods, Sender, no_args
from simulators.spec import DeviceSpec

LOCAL = timezone(timedelta(hours=8))
REGISTER = "/VIID/System/Register"
REFUSED = "401"
_PAIR = re.compile(r'(\w+)="?([^",]*)"?')


class Settings(Periods, frozen=True, forbid_unknown_fields=True):
    user: str = "gate"
    password: str = ""


class FaceGate(Sender):
    WHAT, FAMILY = "a face gate", "gat1400"
    ACTIONS: ClassVar = no_args("match")

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        super().__init__(native_id, settings, seed)
        self._settings = settings
        self._proofs = 0
        self.ready = False

    def hello(self, now: datetime) -> None:
        self._register("")

    def happened(self, action: str, said: Any, at: datetime) -> None:
        told = {"NotificationID": self._object_id(at), "TriggerTime": _time(at), "Title": "wanted"}
        self._list("DispositionNotification", told, self.row("watchlist_match", at, raised=True))

    def measured(self, at: datetime) -> None:
        told = {"FaceID": self._object_id(at), "InfoKind": 1, "ShotTime": _time(at)}
        self._list("Face", told, self.row("detection", at))

    def alive(self, now: datetime) -> None:
        if self.ready:
            self._post("/VIID/System/Keepalive", {"KeepaliveObject": {"DeviceID": self.native_id}})
        else:
            self._register("")

    def receive(self, packet: Packet, now: datetime) -> None:
        status = packet.headers.get("status", "")
        registering = packet.channel == f"POST {REGISTER}"
        if registering and status == REFUSED and "authorization" not in packet.headers:
            self._register(self._proof(packet.headers.get("www-authenticate", "")))
        elif registering:
            self.ready = status == "200"
        elif status == REFUSED:
            self.ready = False
            self._register("")

    def _register(self, proof: str) -> None:
        self._post(
            REGISTER, {"RegisterObject": {"DeviceID": self.native_id}}, **({"authorization": proof} if proof else {})
        )

    def _proof(self, challenge: str) -> str:
        said = dict(_PAIR.findall(challenge))
        self._proofs += 1
        count, ours = f"{self._proofs:08x}", f"{self.chance.getrandbits(64):016x}"
        user = _md5(f"{self._settings.user}:{said.get('realm', '')}:{self._settings.password}")
        nonce = said.get("nonce", "")
        right = _md5(f"{user}:{nonce}:{count}:{ours}:auth:{_md5(f'POST:{REGISTER}')}")
        head = f'Digest username="{self._settings.user}", realm="{said.get("realm", "")}", nonce="{nonce}"'
        return f'{head}, uri="{REGISTER}", qop=auth, nc={count}, cnonce="{ours}", response="{right}"'

    def _object_id(self, at: datetime) -> str:
        return f"{self.native_id}02{_time(at)}{self._key:05}"

    def _list(self, name: str, told: dict[str, Any], row: Accepted) -> None:
        body = json.encode({f"{name}ListObject": {f"{name}Object": [told]}})
        self.send(f"POST /VIID/{name}s", body, row, **self._headers())

    def _post(self, path: str, body: dict[str, Any], **more: str) -> None:
        self.remark(Packet(f"POST {path}", json.encode(body), headers={**self._headers(), **more}))

    def _headers(self) -> dict[str, str]:
        return {"user-identify": self.native_id, "content-type": "application/VIID+JSON;charset=utf-8"}


def _time(at: datetime) -> str:
    return f"{at.astimezone(LOCAL):%Y%m%d%H%M%S}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def build(native_id: str, settings: dict[str, Any], seed: int) -> FaceGate:
    """Raises ValueError for what is no device id."""
    if not re.fullmatch(r"\d{20}", native_id):
        raise ValueError(f"a device id has 20 digits, not {native_id!r}")
    return FaceGate(native_id, convert(settings, Settings), seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    read = [convert(spec.settings, Settings) for spec in specs]
    return {"settings": {"passwords": {told.user: told.password for told in read}}}

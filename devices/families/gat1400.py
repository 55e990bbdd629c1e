"""GA/T 1400 (VIID): cameras, face gates and view libraries push what they recognise over HTTP. Wire: gat1400_wire.py.

We are the view library. A device registers with digest, then names itself in the header User-Identify of each request;
a session that we do not know (any more) is answered 401, and the device registers again. Behind a registration there is
nothing but that header: put such devices on a network of their own, or through TLS.

What it means
- Faces, persons, vehicles, bicycles, things and scenes: one `detection` Event for each object, with what it is, its box
  and how many pictures came along. Pictures, names, documents, plates and what is guessed of a person stay here.
- A disposition notification (someone or something on a watchlist was seen) is an Alarm `watchlist_match`.
- Images, slices, files and lists of cameras are answered and not kept. Registration, keep-alive and leaving are told.
- Whoever pushes is the device; the camera that an object names is the component.
- Times are of `time_zone`. An object is named by its id, so one that is sent again has the same frame_id.

Every request is answered: one status for each object. A device that is not enrolled is answered 403.
"""

import hmac
from collections.abc import Container, Iterator
from datetime import datetime, timedelta
from hashlib import sha256

from msgspec import Struct

from devices.families import gat1400_wire as wire
from devices.families.gat1400_wire import Seen
from devices.family import Example, Message, MessageFamily
from devices.local_time import LocalClock, observed
from devices.observation import (
    Alarm,
    Body,
    DeviceId,
    Event,
    Observation,
    Result,
    Telemetry,
    digest,
    rejected,
)

SESSIONS_MAX = 10_000
NONCES_MAX = 10_000
ANSWERS_MAX = 100
# Reason -> status of HTTP and of the standard.
REFUSALS = {"request unreadable": ("400", 5), "device unknown": ("400", 6), "not enrolled": ("403", 4)}
REFUSALS |= {"request unknown": ("404", 4), "list missing": ("400", 6)}
SILENCE_S_MAX = 270  # three keep-alives of 90 s
SESSION_ENDS_AFTER = timedelta(seconds=SILENCE_S_MAX)


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`passwords`: user name of the digest -> password, "*" for any user. `server_id`: ours, 20 digits. `realm`: of
    the digest. `no_digest`: quirk of devices that cannot log in: the header User-Identify is believed. `any_time`:
    impossible times are kept, flagged."""

    passwords: dict[str, str] = {}
    server_id: str = "00000000005030000001"
    realm: str = "gridward"
    time_zone: str = "Asia/Shanghai"
    no_digest: bool = False
    any_time: bool = False

    def __post_init__(self) -> None:
        LocalClock(self.time_zone)
        if not wire.DEVICE_ID.fullmatch(self.server_id) or '"' in self.realm or not self.realm.isprintable():
            raise ValueError("server_id: expected digits; realm: expected text without quotes")


class Session:
    """See devices.family.MessageSession."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._clock = LocalClock(settings.time_zone)
        self._key = sha256(repr(sorted(settings.passwords.items())).encode()).digest()
        self._count = 0
        self._since: datetime | None = None
        self._used: dict[str, int] = {}  # nonce -> highest count seen
        self._heard: dict[str, datetime] = {}  # devices that have registered
        self._answers: list[Message] = []

    def receive(self, message: Message, now: datetime) -> list[Result]:
        self._since = self._since or now
        method, path = wire.path_of(message.channel)
        if (method, path) == ("GET", "/VIID/System/Time"):
            local = self._clock.local(now)
            self._answer(wire.system_time(self._settings.server_id, self._settings.time_zone, local))
            return []
        body = wire.read_body(message.data) if method == "POST" else None
        if body is None:
            return self._refuse("request unreadable", message, now)
        native_id = wire.device_of(body) or message.headers.get("user-identify", "").strip()
        if not wire.DEVICE_ID.fullmatch(native_id):
            return self._refuse("device unknown", message, now)
        device = DeviceId(f"gat1400:{native_id}")
        if native_id not in self._enrolled:
            return self._refuse("not enrolled", message, now, device)
        if not self._let_in(native_id, message, now):
            known = "authorization" in message.headers
            return self._challenge("login refused" if known else "not registered", message, now, device)
        return self._taken(native_id, path, body, message, now)

    def to_send(self) -> list[Message]:
        answers, self._answers = self._answers, []
        return answers

    # --- who is it ---

    def _let_in(self, native_id: str, message: Message, now: datetime) -> bool:
        """Whether this request may act for the device; a right digest registers it."""
        heard = self._heard.get(native_id)
        registers = message.channel.rstrip("/").endswith("/Register")
        fresh = heard is not None and now - heard <= SESSION_ENDS_AFTER and not registers
        if not (self._settings.no_digest or fresh or self._proved(message, now)):
            return False
        self._heard.pop(native_id, None)
        self._heard[native_id] = now
        if len(self._heard) > SESSIONS_MAX:
            del self._heard[next(iter(self._heard))]
        return True

    def _proved(self, message: Message, now: datetime) -> bool:
        """The digest is right, for this request, and was not used before."""
        method, path = wire.path_of(message.channel)
        said = wire.read_credentials(message.headers.get("authorization", ""))
        passwords = self._settings.passwords
        password = passwords.get(said.get("username", ""), passwords.get("*"))
        if password is None or not said.get("uri", "").partition("?")[0].rstrip("/").endswith(path):
            return False
        right = wire.proof_of(said, password, method)
        nonce, count = said.get("nonce", ""), _hex(said.get("nc", "0"))
        if not hmac.compare_digest(said.get("response", "").lower().encode(), right.encode()):
            return False
        since = self._since or now
        if not wire.nonce_holds(nonce, self._key, since, now) or count is None or count <= self._used.get(nonce, -1):
            return False
        self._used[nonce] = count
        if len(self._used) > NONCES_MAX:
            del self._used[next(iter(self._used))]
        return True

    def _challenge(self, reason: str, message: Message, now: datetime, device: DeviceId) -> list[Result]:
        self._count += 1
        nonce = wire.make_nonce(self._key, now, self._count)
        headers = {"status": "401", "www-authenticate": wire.challenge(self._settings.realm, nonce)}
        self._answer(b"", headers)
        return [rejected(reason, message.channel.encode(errors="replace"), device)]

    def _refuse(self, reason: str, message: Message, now: datetime, device: DeviceId | None = None) -> list[Result]:
        status, code = REFUSALS[reason]
        path = wire.path_of(message.channel)[1]
        self._answer(wire.answer("", path, code, self._clock.local(now)), {"status": status})
        return [rejected(reason, message.channel.encode(errors="replace"), device)]

    def _answer(self, body: bytes, headers: dict[str, str] | None = None) -> None:
        answer = Message("", body, {"content-type": wire.JSON_TYPE} | (headers or {}))
        self._answers = [*self._answers, answer][-ANSWERS_MAX:]

    # --- what is it ---

    def _taken(
        self, native_id: str, path: str, body: dict[str, object], message: Message, now: datetime
    ) -> list[Result]:
        local = self._clock.local(now)
        control = {"/VIID/System/Register": "registered", "/VIID/System/UnRegister": "logout"}
        if path in control or path == "/VIID/System/Keepalive":
            self._answer(wire.answer(native_id, path, 0, local))
            if path == "/VIID/System/UnRegister":
                self._heard.pop(native_id, None)
            told: Body = Event(kind=control[path]) if path in control else Telemetry({})
            return [_observed_now(native_id, told, now)]
        kind = wire.KIND_OF_PATH.get(path.lower())
        found = wire.objects_of(kind, body, self._clock) if kind else None
        if kind is None or found is None:
            device = DeviceId(f"gat1400:{native_id}")
            return self._refuse("request unknown" if kind is None else "list missing", message, now, device)
        self._answer(wire.answer_list([one.id for one in found], path, local))
        if kind.object == "notification":
            found = list(wire.notified(body, self._clock))
        results: list[Result] = [result for one in found for result in self._seen(native_id, one, now)]
        return results or [_observed_now(native_id, Telemetry({}), now)]

    def _seen(self, native_id: str, seen: Seen, now: datetime) -> Iterator[Observation]:
        if not seen.object:
            return
        at, flags = observed(seen.time, now, self._settings.any_time)
        place = seen.device if seen.device != native_id else ""
        report = digest(native_id.encode(), seen.object.encode(), seen.id.encode()) if seen.id else ""
        told: Body = Event(kind="detection", component=place, attributes=_told(seen))
        if seen.object == "disposition":
            told = Alarm(kind="watchlist_match", component=place)
        device = DeviceId(f"gat1400:{native_id}")
        yield Observation(device=device, observed_at=at, received_at=now, body=told, frame_id=report, flags=flags)


def _observed_now(native_id: str, told: Body, now: datetime) -> Observation:
    return Observation(device=DeviceId(f"gat1400:{native_id}"), observed_at=now, received_at=now, body=told)


def _told(seen: Seen) -> dict[str, str]:
    found = {"object": seen.object, "pictures": str(seen.pictures)}
    return found | ({"box": ",".join(map(str, seen.box))} if seen.box else {})


def _hex(written: str) -> int | None:
    try:
        return int(written, 16) if len(written) <= 8 else None
    except ValueError:
        return None


FAMILY = MessageFamily(
    name="gat1400",
    title="GA/T 1400 cameras and view libraries",
    native_id="the 20 digits of the device",
    native_id_pattern=r"\d{20}",
    example=Example("33010200001190000001", settings={"passwords": {"camera": "file:camera.password"}}),
    links=("http_server",),
    integrity="",
    message_bytes_max=wire.MESSAGE_BYTES_MAX,
    silence_s_max=SILENCE_S_MAX,
    settings=Settings,
    open_session=Session,
)

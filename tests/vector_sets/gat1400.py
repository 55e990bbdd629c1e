"""GA/T 1400: requests as a session answers them, and the answers that we make."""

import json
from datetime import UTC, datetime
from typing import Any

from devices.families import gat1400, gat1400_wire
from devices.family import Everyone, Message
from devices.local_time import LocalClock
from tests.vectors import SHARED

SAMPLES = SHARED / "gat1400.jsonl"
NOW = datetime(2026, 1, 1, 4, 0, tzinfo=UTC)
CLOCK = LocalClock("Asia/Shanghai")
USER, RIGHT = "camera", "secret"
LISTS = {f"{kind.name}ListObject": kind.path for kind in gat1400_wire.KINDS}


def path_for(body: dict[str, Any]) -> str:
    """Where a device sends such a body."""
    paths = {**gat1400_wire.CONTROL, **LISTS}
    return next((paths[name] for name in body if name in paths), "/VIID")


def message(line: dict[str, Any]) -> Message:
    body = line.get("frame_json") or json.loads(line["frame_text"])
    headers = {"user-identify": gat1400_wire.device_of(body) or _device(body)}
    return Message(f"POST {path_for(body)}", json.dumps(body).encode(), headers)


def _device(body: dict[str, Any]) -> str:
    """The device that the first object of a list names; the header that a real one sends is not in the vectors."""
    for kind in gat1400_wire.KINDS:
        for seen in gat1400_wire.objects_of(kind, body, CLOCK) or []:
            if seen.device:
                return seen.device
    return "33010200001190000001"


def decode(line: dict[str, Any]) -> dict[str, Any]:
    body = line.get("frame_json") or json.loads(line["frame_text"])
    if "SystemTimeObject" in body:
        return _time(body["SystemTimeObject"])
    given = message(line)
    first, reply, register = _answers(given)
    found: dict[str, Any] = {"request": given.channel, "reply": reply, "device_id": given.headers["user-identify"]}
    if "RegisterObject" in body:
        found |= {"first_answer_status": first, "auth": "digest" if register else "", "then_reply": reply}
    for kind in gat1400_wire.KINDS:
        objects = gat1400_wire.objects_of(kind, body, CLOCK)
        if objects is not None:
            found |= {"count": len(objects), "objects": [_seen(one) for one in objects]}
    return found


def _seen(seen: gat1400_wire.Seen) -> dict[str, Any]:
    local = CLOCK.local(seen.time).isoformat() if seen.time else None
    return {"id": seen.id, "device_id": seen.device, "time": local, "box": seen.box, "pictures": seen.pictures}


def _answers(given: Message) -> tuple[int, dict[str, Any], bool]:
    """The status of the first answer, the body of the one after logging in, whether a digest was asked for."""
    session = gat1400.Session(gat1400.Settings(passwords={USER: RIGHT}), Everyone())
    session.receive(given, NOW)
    [challenge] = session.to_send()
    asked = challenge.headers.get("www-authenticate", "")
    session.receive(Message(given.channel, given.data, {**given.headers, "authorization": log_in(given, asked)}), NOW)
    [answer] = session.to_send()
    return int(challenge.headers["status"]), json.loads(answer.data), asked.startswith("Digest ")


def log_in(given: Message, challenge: str, word: str = RIGHT) -> str:
    """What a device puts into its Authorization header."""
    method, path = gat1400_wire.path_of(given.channel)
    asked = gat1400_wire.read_credentials(challenge)
    said = {"username": USER, "realm": asked["realm"], "nonce": asked["nonce"], "uri": path}
    said |= {"qop": "auth", "nc": "00000001", "cnonce": "0a4f113b"}
    said["response"] = gat1400_wire.proof_of(said, word, method)
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in said.items())


def _time(given: dict[str, Any]) -> dict[str, Any]:
    """Our answer, which must say what the vector's does, read back."""
    at = gat1400_wire.read_time(given["LocalTime"], LocalClock(given["TimeZone"]))
    assert at is not None
    local = LocalClock(given["TimeZone"]).local(at)
    ours = json.loads(gat1400_wire.system_time(given["VIIDServerID"], given["TimeZone"], local))
    assert ours == {"SystemTimeObject": given}
    return {"request": "GET /VIID/System/Time", "local_time": local.isoformat()}

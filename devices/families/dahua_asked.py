"""What the edge asks a Dahua device beside its stream: which codes last now, and to drive a door. Replies are text.

GET /cgi-bin/eventManager.cgi?action=getEventIndexes&code=FireWarning     channels[0]=2 ...  or  Error: No Events
GET /cgi-bin/accessControl.cgi?action=openDoor&channel=1&UserID=101&Type=Remote               OK
"""

import re

from devices.doors import Way
from devices.family import Message

CHANNELS_MAX = 256
STATE_PATH = "GET /cgi-bin/eventManager.cgi?action=getEventIndexes&code="
DOOR_PATH = "GET /cgi-bin/accessControl.cgi?action="
CHANNEL = re.compile(r"channels\[\d{1,4}\]=(\d{1,4})", re.ASCII)
USER = 101  # under which the device writes it into its log

WAYS = {
    "open": Way("open a door once", "openDoor", "door_opened"),
    "close": Way("close a door", "closeDoor", "door_closed"),
}


def ask_state(code: str) -> Message:
    return Message(STATE_PATH + code, b"")


def code_asked(request: Message) -> str:
    """ "" when the request is about something else."""
    _, mark, code = request.channel.partition(STATE_PATH)
    return code if mark else ""


def read_channels(answer: Message) -> set[int] | None:
    """The channels on which the code lasts, from 0; None when the device does not say."""
    said = answer.data.decode("utf-8", "replace")
    found = {int(channel) for channel in CHANNEL.findall(said)[:CHANNELS_MAX]}
    if answer.headers.get("status") == "200" and found:
        return found
    return set() if "no events" in said.lower() else None


def drive_door(door: int, word: str) -> Message:
    return Message(f"{DOOR_PATH}{word}&channel={door}&UserID={USER}&Type=Remote", b"")


def refusal_of(answer: Message) -> str:
    """Why the device did not do it; "" when it did."""
    status = answer.headers.get("status", "")
    if status in ("401", "403"):
        return "the login may not do that at the device"
    if status == "200" and answer.data.strip().upper() == b"OK":
        return ""
    return f"the device refuses it, HTTP {status}"

"""What Hikvision's event types and the codes of its door terminals mean: tables.

Major 1 alarm, 2 exception, 3 operation (log-in, remote control: no passage), 5 event. Minor codes after the vendor's
SDK (HCNetSDK, access control events); 1, 38, 75, 21 and 22 were seen in public tests, the others are to be checked with
the firmware at hand.
"""

from msgspec import Struct

CATEGORIES = {1: "alarm", 2: "exception", 3: "operation", 5: "event"}

# Event type, in lower case -> alarm kind.
ALARMS: dict[str, str] = {
    "linedetection": "intrusion",
    "fielddetection": "intrusion",
    "regionentrance": "intrusion",
    "regionexiting": "intrusion",
    "loitering": "loitering",
    "group": "crowd",
    "rapidmove": "crowd",
    "parking": "parking_timeout",
    "unattendedbaggage": "left_object",
    "attendedbaggage": "left_object",
    "tamperdetection": "tamper",
    "scenechangedetection": "tamper",
    "videoloss": "video_loss",
    "io": "input_active",
    "diskfull": "fault",
    "diskerror": "fault",
    "storagedetection": "fault",
    "nicbroken": "communication_fault",
    "ipconflict": "communication_fault",
    "firedetection": "fire",
    "smokedetection": "smoke",
    "tma": "heat",
    "tmpa": "supervisory",
}
# Event type -> event kind and what is always true of it.
EVENTS: dict[str, tuple[str, dict[str, str]]] = {
    "motiondetection": ("motion", {}),
    "pir": ("motion", {}),
    "audioexception": ("sound", {}),
    "illaccess": ("login_failed", {}),
    "facedetection": ("detection", {"object": "face"}),
    "facesnap": ("detection", {"object": "face"}),
    "alarmresult": ("detection", {"object": "face"}),
    "anpr": ("detection", {"object": "vehicle"}),
}
NEVER_ASSUMED_OVER = frozenset({"fire", "smoke", "heat"})  # only the device may say so


class Code(Struct, frozen=True, kw_only=True):
    """`alarm`: kind raised. `clears`: kinds that are over. `event`: kind of the Event with its `attributes`."""

    alarm: str = ""
    clears: tuple[str, ...] = ()
    event: str = ""
    attributes: dict[str, str] = {}


def _passed(credential: str) -> Code:
    return Code(event="access", attributes={"granted": "yes", "credential": credential})


def _refused(reason: str, credential: str = "card") -> Code:
    return Code(event="access", attributes={"granted": "no", "credential": credential, "reason": reason})


# (major, minor) -> meaning.
CODES: dict[tuple[int, int], Code] = {
    (5, 0x01): _passed("card"),
    (5, 0x02): _passed("card and code"),
    (5, 0x03): _refused("wrong code", "card and code"),
    (5, 0x06): _refused("no right"),
    (5, 0x07): _refused("not at this time"),
    (5, 0x08): _refused("expired"),
    (5, 0x09): _refused("unknown"),
    (5, 0x0A): _refused("repeated entry"),
    (5, 0x0B): _refused("another door is open"),
    (5, 0x15): Code(event="unlocked"),
    (5, 0x16): Code(event="locked"),
    (5, 0x17): Code(event="button", attributes={"button": "exit", "how": "pressed"}),
    (5, 0x18): Code(event="button", attributes={"button": "exit", "how": "released"}),
    (5, 0x19): Code(event="door_opened"),
    (5, 0x1A): Code(event="door_closed", clears=("door_forced", "door_held_open")),
    (5, 0x1B): Code(alarm="door_forced"),
    (5, 0x1C): Code(alarm="door_held_open"),
    (5, 0x26): _passed("fingerprint"),
    (5, 0x27): _refused("not recognised", "fingerprint"),
    (5, 0x28): _passed("card and fingerprint"),
    (5, 0x29): _refused("not recognised", "card and fingerprint"),
    (5, 0x4B): _passed("face"),
    (5, 0x4C): _refused("not recognised", "face"),
    (1, 0x400): Code(alarm="tamper"),  # a zone shorted or cut
    (1, 0x401): Code(alarm="tamper"),
    (1, 0x402): Code(alarm="fault"),
    (1, 0x403): Code(clears=("tamper", "fault")),
    (1, 0x404): Code(alarm="tamper"),  # terminal
    (1, 0x405): Code(clears=("tamper",)),
    (1, 0x406): Code(alarm="tamper"),  # reader
    (1, 0x407): Code(clears=("tamper",)),
    (1, 0x408): Code(alarm="input_active"),
    (1, 0x409): Code(clears=("input_active",)),
    (1, 0x40A): Code(alarm="duress"),
    (1, 0x40C): _refused("too many attempts"),
    (1, 0x40D): Code(alarm="fault"),  # memory card full
    (1, 0x40F): Code(alarm="tamper"),  # security module
    (1, 0x410): Code(clears=("tamper",)),
    (1, 0x415): Code(alarm="bus_fault"),  # the line of the fire input shorted or cut
    (1, 0x416): Code(alarm="bus_fault"),
    (1, 0x417): Code(clears=("bus_fault",)),
    (1, 0x418): Code(alarm="manual_call_point"),
    (1, 0x419): Code(clears=("manual_call_point",)),
    (1, 0x41C): Code(alarm="sos"),  # emergency button
    (1, 0x41D): Code(clears=("sos",)),
    (1, 0x422): Code(alarm="tamper"),  # channel controller of a gate
    (1, 0x423): Code(clears=("tamper",)),
    (1, 0x424): Code(alarm="fire"),
    (1, 0x425): Code(clears=("fire",)),
}
# Major 1 with a minor that is not in the table: loud until someone has looked.
UNKNOWN_ALARM = Code(alarm="unspecified_alarm")


def code_of(major: int, minor: int) -> Code | None:
    """None: no meaning is known."""
    return CODES.get((major, minor), UNKNOWN_ALARM if major == 1 else None)

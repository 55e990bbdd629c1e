"""What a band of the "3G" family can be asked: the content of a frame to it, and what it says to it.

    FIND   CR   RESET   POWEROFF   FACTORY   PING   bphrt   bodytemp2   oxstart,1   hrtstart,n   UPLOAD,seconds
    SOS1,number .. SOS3   CENTER,number   CALL,number   MONITOR,number   MESSAGE,hex of UTF-16BE   LZ,language,hours
    REMOVE,0|1   FALLDOWN,0|1,0|1   LSSET,n   IP,host,port

A band sends the word back, in its own letter case, when it has taken a command: accepted. What it then measures, or
where it then is, confirms a command that asked for that. It has no word for "no": one that cannot is silent. Two
commands of the same word cannot be told apart, so the second is refused while the first waits.
"""

import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from devices.asked import check_args, chosen, whole
from devices.families.watch_wire import number
from devices.family import CommandKind, CommandRefused, DeviceCommand

NUMBER = {"number": "telephone number: digits, + in front allowed"}
NUMBER_OR_NONE = {"number": "telephone number: digits, + in front allowed; empty: none"}
ON_OFF = {"turn": "on or off"}
PHONE = re.compile(r"\+?\d{3,20}", re.ASCII)
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?", re.ASCII)
TEXT_CHARS_MAX = 200
SWITCH = {"on": 1, "off": 0}

HEART, PRESSURE = ("heart", "pulse", "bphrt"), ("bphrt", "blood")

Args = Mapping[str, str]


class Request(Struct, frozen=True):
    """The content to send, the word that comes back, and types (lower case) that show that it is done."""

    content: str
    shown_by: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        return self.content.partition(",")[0].upper()


def _plain(content: str, shown_by: tuple[str, ...] = ()) -> Callable[[Args], Request]:
    return lambda args: Request(content, shown_by)


def _phone(word: str, empty: bool = False) -> Callable[[Args], Request]:
    return lambda args: Request(f"{word},{_number(args, empty)}")


def _number(args: Args, empty: bool) -> str:
    text = args.get("number", "")
    if PHONE.fullmatch(text) or (empty and not text):
        return text
    raise CommandRefused(
        "number: no telephone number; 3 to 20 digits, + in front allowed"
    )  # not told: it is a person's


def _sos_number(args: Args) -> Request:
    return Request(f"SOS{whole(args, 'slot', 1, 3)},{_number(args, True)}")


def _interval(args: Args) -> Request:
    return Request(f"UPLOAD,{whole(args, 'seconds', 10, 65_535)}")


def _heart(args: Args) -> Request:
    word = args.get("period", "") or "once"
    if word in ("once", "stop"):
        return Request(f"hrtstart,{int(word == 'once')}", HEART if word == "once" else ())
    return Request(f"hrtstart,{whole(args, 'period', 300, 65_535)}", HEART)


def _message(args: Args) -> Request:
    text = args.get("text", "")
    if not 0 < len(text) <= TEXT_CHARS_MAX or not text.isprintable():
        raise CommandRefused(f"text: 1 to {TEXT_CHARS_MAX} printable characters")
    return Request(f"MESSAGE,{text.encode('utf-16-be', 'replace').hex().upper()}")


def _time_zone(args: Args) -> Request:
    hours = number(args.get("hours", ""))
    if hours is None or not -12 <= hours <= 14 or hours * 4 % 1:
        raise CommandRefused(f"hours: {args.get('hours', '')!r} is no offset from UTC such as 8 or -3.5")
    language = args.get("language", "")
    return Request(f"LZ,{whole(args, 'language', 0, 99) if language else ''},{hours:+g}")


def _switch(content: str) -> Callable[[Args], Request]:
    return lambda args: Request(content.format(chosen(args, "turn", SWITCH)))


def _sensitivity(args: Args) -> Request:
    return Request(f"LSSET,{whole(args, 'level', 1, 8)}")


def _server(args: Args) -> Request:
    host = args.get("host", "")
    if not HOST.fullmatch(host):
        raise CommandRefused(f"host: {host!r} is no name or address")
    return Request(f"IP,{host},{whole(args, 'port', 1, 65_535)}")


def kind(name: str, meaning: str, args: dict[str, str] | None = None) -> CommandKind:
    return CommandKind(name=name, meaning=meaning, args=args or {})


_TABLE: tuple[tuple[CommandKind, Callable[[Args], Request]], ...] = (
    (kind("find", "ring, so that it is found"), _plain("FIND")),
    (kind("locate", "tell now where it is"), _plain("CR", ("ud",))),
    (kind("ping", "see whether it answers"), _plain("PING")),
    (kind("call", "have the band call a number", NUMBER), _phone("CALL")),
    (
        kind("monitor", "have the band call a number unheard, which then hears what is near it", NUMBER),
        _phone("MONITOR"),
    ),
    (
        kind("centre_number", "number that may steer the band by text message", NUMBER_OR_NONE),
        _phone("CENTER", empty=True),
    ),
    (kind("sos_number", "number that an SOS calls", {"slot": "1 to 3", **NUMBER_OR_NONE}), _sos_number),
    (kind("interval", "how often it reports", {"seconds": "10 to 65535"}), _interval),
    (kind("restart", "start again"), _plain("RESET")),
    (kind("power_off", "switch off; only a person beside it can switch it on"), _plain("POWEROFF")),
    (kind("factory_reset", "forget all settings"), _plain("FACTORY")),
    (kind("message", "show a text", {"text": f"1 to {TEXT_CHARS_MAX} characters"}), _message),
    (
        kind("time_zone", "clock on its face", {"hours": "ahead of UTC, +8 or -3.5", "language": "number, or none"}),
        _time_zone,
    ),
    (kind("measure_heart", "heart rate", {"period": "once, stop, or seconds 300 to 65535"}), _heart),
    (kind("measure_pressure", "blood pressure"), _plain("bphrt", PRESSURE)),
    (kind("measure_temperature", "body temperature"), _plain("bodytemp2", ("btemp2", "temp"))),
    (kind("measure_oxygen", "oxygen saturation"), _plain("oxstart,1", ("oxygen",))),
    (kind("take_off_alarm", "alarm when it is taken off", ON_OFF), _switch("REMOVE,{}")),
    (kind("fall_alarm", "alarm when its wearer falls", ON_OFF), _switch("FALLDOWN,{0},{0}")),
    (kind("fall_sensitivity", "how easily a fall is seen", {"level": "1 to 8, as its maker counts"}), _sensitivity),
    (kind("server", "dial another server from now on", {"host": "name or address", "port": "1 to 65535"}), _server),
)
COMMANDS = tuple(one for one, _ in _TABLE)
KINDS = {one.name: one for one in COMMANDS}
BUILDERS: dict[str, Callable[[Args], Request]] = {one.name: build for one, build in _TABLE}


def request(command: DeviceCommand) -> Request:
    """Raises CommandRefused."""
    check_args(KINDS, command)
    return BUILDERS[command.action](command.args)

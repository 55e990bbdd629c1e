"""What a JT/T 808 terminal can be asked, as message id and body, and what its answers mean.

    8103 parameters: jt808_parameters.py    8104 all, 8106 count 1 | {id 4}       8107 attributes   8201 locate
    8105 control 1: 3 off, 4 restart, 5 factory         8202 interval s 2 | duration s 4 (interval 0 alone: stop)
    8203 serial 2 | alarm bits 4 | 8300 flags 1 | (2019: type 1) | GBK text        8600 to 8607: jt808_areas.py
    8500 doors: 2013 flags 1 (bit 0: lock)              2019 count 2 | {0001 | 0 lock, 1 open}
    8900 type 1 | bytes

What a terminal says to it: jt808_answers.py.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from devices.asked import check_args, chosen, whole
from devices.families import jt808_areas as areas
from devices.families import jt808_parameters as parameters
from devices.families.jt808_areas import Args, Terminal
from devices.family import CommandKind, CommandRefused, DeviceCommand

BODY_BYTES_MAX = 1_023  # of one message
TEXT_CHARS_MAX = 300
READ_PARAMETERS, SET_PARAMETERS, READ_ATTRIBUTES, LOCATE, DOORS = 0x8106, 0x8103, 0x8107, 0x8201, 0x8500
SHOW = {"display": 0x04, "speak": 0x08, "both": 0x0C}
YES_NO = {"yes": True, "no": False}
CONFIRMED = {"sos": 1, "danger": 1 << 3, "zone_violation": 7 << 20, "illegal_movement": 3 << 27}


class Request(Struct, frozen=True):
    """`wanted`: what an answer must show, so that it confirms."""

    id: int
    body: bytes
    wanted: Mapping[str, str] = {}


def read_back(wanted: Mapping[str, str]) -> bytes:
    """Body of 8106 for parameters by their ids in hex."""
    return bytes((len(wanted),)) + b"".join(bytes.fromhex(id_) for id_ in wanted)


def _read_parameters(args: Args, terminal: Terminal) -> Request:
    names = [name.strip() for name in args.get("which", "").split(",") if name.strip()]
    wanted = {f"{parameters.id_of(name):08X}": "" for name in names}
    return Request(READ_PARAMETERS, read_back(wanted)) if wanted else Request(0x8104, b"")


def _set_parameters(args: Args, terminal: Terminal) -> Request:
    values = parameters.written(args)
    if len(values) > 255:
        raise CommandRefused("more than 255 parameters")
    wanted = {f"{id_:08X}": value.hex().upper() for id_, value in values.items()}
    return Request(SET_PARAMETERS, parameters.items(values), wanted)


def _track(args: Args, terminal: Terminal) -> Request:
    interval = whole(args, "interval_s", 0, 65_535)
    duration = whole(args, "duration_s", 1, 86_400).to_bytes(4) if interval else b""
    return Request(0x8202, interval.to_bytes(2) + duration)


def _confirm_alarm(args: Args, terminal: Terminal) -> Request:
    names = [name.strip() for name in args.get("kinds", "").split(",") if name.strip()] or list(CONFIRMED)
    bits = [chosen({"kinds": name}, "kinds", CONFIRMED) for name in names]
    serial = whole(args, "serial", 0, 65_535, 0)
    return Request(0x8203, serial.to_bytes(2) + sum(set(bits)).to_bytes(4))


def _text(args: Args, terminal: Terminal) -> Request:
    text = args.get("text", "")
    if not 0 < len(text) <= TEXT_CHARS_MAX or not text.isprintable():
        raise CommandRefused(f"text: 1 to {TEXT_CHARS_MAX} printable characters")
    flags, urgent = chosen(args, "show", SHOW, "both"), chosen(args, "urgent", YES_NO, "no")
    lead = bytes((flags | (2 if urgent else 1), 1)) if terminal.is_2019 else bytes((flags | urgent,))
    try:
        return Request(0x8300, lead + text.encode("gbk"))
    except UnicodeEncodeError:
        raise CommandRefused("text: not in GBK") from None


def _control(word: int) -> Callable[[Args, Terminal], Request]:
    return lambda args, terminal: Request(0x8105, bytes((word,)))


def _doors(locked: bool) -> Callable[[Args, Terminal], Request]:
    def build(args: Args, terminal: Terminal) -> Request:
        body = bytes((0, 1, 0, 1, not locked)) if terminal.is_2019 else bytes((locked,))
        return Request(DOORS, body, {"doors": str(int(locked))})

    return build


def _transparent(args: Args, terminal: Terminal) -> Request:
    try:
        data = bytes.fromhex(args.get("hex", ""))
    except ValueError:
        raise CommandRefused("hex: no hex") from None
    return Request(0x8900, bytes((whole(args, "type", 0, 255),)) + data)


def _area(action: str) -> Callable[[Args, Terminal], Request]:
    return lambda args, terminal: Request(*areas.BUILDERS[action](args, terminal))


_TABLE: tuple[tuple[CommandKind, Callable[[Args, Terminal], Request]], ...] = (
    (CommandKind(name="locate", meaning="tell now where it is"), lambda args, terminal: Request(LOCATE, b"")),
    (
        CommandKind(
            name="track",
            meaning="report more often for a while",
            args={"interval_s": "seconds, 0 ends it", "duration_s": "for so long, 1 to 86400"},
        ),
        _track,
    ),
    (
        CommandKind(
            name="text",
            meaning="show or speak a text",
            args={
                "text": f"1 to {TEXT_CHARS_MAX} characters",
                "show": "display, speak or both (both)",
                "urgent": "yes or no (no)",
            },
        ),
        _text,
    ),
    (
        CommandKind(
            name="confirm_alarm",
            meaning="have the terminal take back alarms that wait for a person",
            args={"kinds": f"{', '.join(CONFIRMED)}; empty: all", "serial": "of the report, 0 for any (0)"},
        ),
        _confirm_alarm,
    ),
    (
        CommandKind(
            name="read_parameters",
            meaning="have parameters told",
            args={"which": "names or numbers such as 0x0029, with commas; empty: all"},
        ),
        _read_parameters,
    ),
    (
        CommandKind(
            name="set_parameters",
            meaning="set parameters, and read them back",
            args={name: "text" if not size else "number" for name, size in parameters.PARAMETERS.values()},
            other_args=True,
        ),
        _set_parameters,
    ),
    (
        CommandKind(name="read_attributes", meaning="have model, card and versions told"),
        lambda args, terminal: Request(READ_ATTRIBUTES, b""),
    ),
    (CommandKind(name="restart", meaning="start again"), _control(4)),
    (CommandKind(name="power_off", meaning="switch off; only a person beside it can switch it on"), _control(3)),
    (CommandKind(name="factory_reset", meaning="forget all settings"), _control(5)),
    (CommandKind(name="lock_doors", meaning="lock the vehicle's doors"), _doors(True)),
    (CommandKind(name="unlock_doors", meaning="unlock them"), _doors(False)),
    (
        CommandKind(
            name="transparent",
            meaning="hand bytes on to what is wired to the terminal",
            args={"type": "0 to 255, as its maker says", "hex": "the bytes"},
        ),
        _transparent,
    ),
    *((kind, _area(kind.name)) for kind in areas.COMMANDS),
)
COMMANDS = tuple(kind for kind, _ in _TABLE)
KINDS = {kind.name: kind for kind in COMMANDS}
BUILDERS: dict[str, Callable[[Args, Terminal], Request]] = {kind.name: build for kind, build in _TABLE}


def request(command: DeviceCommand, terminal: Terminal) -> Request:
    """Raises CommandRefused."""
    check_args(KINDS, command)
    found = BUILDERS[command.action](command.args, terminal)
    if len(found.body) > BODY_BYTES_MAX:
        raise CommandRefused(f"too long for one message: {len(found.body)} bytes of {BODY_BYTES_MAX}")
    return found

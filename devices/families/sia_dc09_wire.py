"""Frames of ANSI/SIA DC-09, read into plain values and written. What they mean stands in sia_dc09.py.

    LF crc(4 hex) length(4 hex) "id" sequence(4) [R receiver] [L line] [#account] [ data ] {[ x-data ]} [_time] CR
                                ^--------------- crc and length are of these characters ---------------^

id: ADM-CID (Contact ID), SIA-DCS, NULL (supervision), ACK, NAK, DUH, RSP; HENG-BO is Contact ID with private codes.
`"*id"`: encrypted. What follows the first `[` is then hex of AES-CBC with a zero IV:
    pad | data ] {[ x-data ]} _time      pad: any but | [ ], up to whole blocks of 16; without data | may miss
data of Contact ID: `#account|QXYZ GG CCC`     Q 1 event, 3 restore, 6 still present; XYZ code; GG partition; CCC zone
data of SIA-DCS:    `#account|Nri2/FA017^text^`  modifiers (ti time, id user, ri area, ...), code, point, text
time: `HH:MM:SS,MM-DD-YYYY`; one that cannot be read costs no event.
The CRC (polynomial 0xA001 reflected, start 0) is what counts; the length is wrong in many panels, or in decimal.
"""

import re
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from msgspec import Struct
from msgspec.structs import replace

from devices.framing import Cut, crc16

FRAME_BYTES_MAX = 4_200  # the length field goes up to 0FFF
HEAD_BYTES = 9
BLOCK_BYTES = 16

BLANKS = b"\r\n\0\x14"
NOISE = re.compile(rb"[^0-9A-Fa-f\r\n\0\x14]+")
HEAD = re.compile(rb'[0-9A-Fa-f]{8}"')
HEX = re.compile(rb"[0-9A-Fa-f]+")
FRAME = re.compile(
    r'(?P<crc>[0-9A-F]{4})(?P<length>[0-9A-F]{4})"(?P<star>\*?)(?P<id>[A-Z-]{2,8})"(?P<sequence>\d{4})'
    r"(?P<receiver>R[0-9A-F]{1,6})?(?P<line>L(?:0(?=A0\[)|[0-9A-F]{1,6}))?(?:A0|#(?P<account>[0-9A-F]{3,16}))?\[(?P<rest>.*)",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
CONTENT = re.compile(r"(?P<data>[^\]]*)\](?P<extended>(?:\[[^\]]*\])*)(?:_(?P<time>[!-Z^-~]{0,24}))?\s*", re.ASCII)
TIME = re.compile(r"\d\d:\d\d:\d\d,\d\d-\d\d-\d{4}", re.ASCII)
EXTENDED = re.compile(r"\[([A-Z])([^\]]*)\]", re.IGNORECASE)
ACCOUNT = re.compile(r"(?:#(?P<account>[0-9A-F]{3,16}))?\|(?P<data>.*)", re.IGNORECASE | re.DOTALL)
CONTACT_ID = re.compile(r"(?P<q>[136ERS])(?P<code>[0-9A-F]{3}) ?(?P<partition>[0-9A-F]{2}) ?(?P<zone>[0-9A-F]{3})")
DCS_MODIFIER = re.compile(r"(ti|id|ri|pi|ai|da|ph|lv|pt|ci|si|va)([0-9A-Za-z:.\-]{0,64}?)(?=/|[A-Z]{2}|$)")
DCS_CODE = re.compile(r"(?P<code>[A-Z]{2})(?P<point>\d{0,10})(?P<text>[^/^]*(?:\^[^^]*\^?)?)", re.DOTALL)
QUALIFIERS = {"1": "event", "E": "event", "3": "restore", "R": "restore", "6": "status", "S": "status"}
CONTACT_IDS = frozenset({"ADM-CID", "HENG-BO"})
ANSWERS = frozenset({"ACK", "NAK", "DUH", "RSP"})
KNOWN_IDS = CONTACT_IDS | ANSWERS | {"SIA-DCS", "NULL"}

Fields = dict[str, Any]


class Frame(Struct, frozen=True):
    """`data` and what follows it are empty in an encrypted frame until it is decrypted; then `cipher` is kept."""

    crc: str
    crc_ok: bool
    length: str
    length_ok: bool
    id: str
    encrypted: bool
    sequence: str
    receiver: str
    line: str
    account: str
    cipher: str = ""
    data: str = ""
    inner_account: str = ""
    extended: tuple[tuple[str, str], ...] = ()
    time: datetime | None = None  # naive: the panel's clock
    time_given: bool = False
    readable: bool = True  # False: the brackets do not fit


def cut(buffer: bytes, final: bool) -> Cut:
    """A frame is the characters from its CRC to CR (in a last line: to the end); they are checked here."""
    if buffer[0] in BLANKS:
        return Cut(len(buffer) - len(buffer.lstrip(BLANKS)))
    noise = NOISE.match(buffer)
    if noise:
        return Cut(noise.end(), reason="start mark missing")
    if len(buffer) < HEAD_BYTES and HEX.fullmatch(buffer):
        return Cut(1, reason="start mark missing") if final else Cut(0)
    if not HEAD.match(buffer):
        return Cut(1, reason="start mark missing")
    ends = [at for at in (buffer.find(b"\r"), buffer.find(b"\n")) if at >= 0]
    if not ends and not final:
        return Cut(0)
    end = min(ends, default=len(buffer))
    frame = buffer[:end].rstrip(BLANKS)
    good = int(frame[:4], 16) == crc16(frame[HEAD_BYTES - 1 :])
    return Cut(end, frame=frame, reason="" if good else "checksum wrong")


def read_frame(raw: bytes) -> Frame | None:
    """A frame as the cutter gave it, or one that it refused; None when it is not in the format at all."""
    text = _text(raw.strip(BLANKS))
    found = FRAME.fullmatch(text)
    if found is None:
        return None
    counted = raw.strip(BLANKS)[HEAD_BYTES - 1 :]
    frame = Frame(
        crc=found["crc"].upper(),
        crc_ok=int(found["crc"], 16) == crc16(counted),
        length=found["length"].upper(),
        length_ok=int(found["length"], 16) == len(counted),
        id=found["id"].upper(),
        encrypted=bool(found["star"]),
        sequence=found["sequence"],
        receiver=found["receiver"] or "",
        line=found["line"] or "",
        account=(found["account"] or "").upper(),
        cipher=found["rest"] if found["star"] else "",
    )
    return frame if frame.encrypted else _with_content(frame, found["rest"])


def _with_content(frame: Frame, rest: str) -> Frame:
    """The frame with what stands behind its first bracket."""
    found = CONTENT.fullmatch(rest)
    if found is None:
        return replace(frame, readable=False)
    account, data = "", found["data"]
    if inner := ACCOUNT.fullmatch(data):
        account, data = (inner["account"] or "").upper(), inner["data"]
    elif data.startswith("#"):
        account, data = data[1:].upper(), ""
    extended = tuple((one[1].upper(), one[2]) for one in EXTENDED.finditer(found["extended"]))
    return replace(
        frame,
        data=data,
        inner_account=account,
        extended=extended,
        time=read_time(found["time"] or ""),
        time_given=found["time"] is not None,
    )


def _text(data: bytes) -> str:
    """ASCII but for what people wrote: UTF-8, or what Chinese panels use. PostgreSQL holds no NUL."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("gb18030", "replace")
    return text.replace("\0", "\ufffd")


def read_time(text: str) -> datetime | None:
    if not TIME.fullmatch(text):
        return None
    hour, minute, second, month, day, year = (int(part) for part in re.split("[:,-]", text))
    try:
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the wire has no zone
    except ValueError:
        return None


def read_contact_id(data: str) -> Fields | None:
    """The event of Contact ID; None when there is none to be read."""
    found = CONTACT_ID.match(data)
    if found is None:
        return None
    return {
        "qualifier": QUALIFIERS[found["q"]],
        "event_code": found["code"],
        "partition": found["partition"],
        "zone": found["zone"],
    }


def read_dcs(data: str) -> list[Fields]:
    """The events of a SIA-DCS block, each with the modifiers in front of it; none when there is none to be read."""
    at = 1 if data[:1] in ("N", "O") else 0
    names = {"ri": "area", "id": "user", "pi": "peripheral", "ti": "event_time", "da": "date"}
    events: list[Fields] = []
    modifiers: Fields = {"old": True} if data[:1] == "O" else {}
    while at < len(data):
        if data[at] in "/^ ":
            at += 1
        elif modifier := DCS_MODIFIER.match(data, at):
            modifiers = modifiers | {names.get(modifier[1], modifier[1]): modifier[2]}
            at = modifier.end()
        elif code := DCS_CODE.match(data, at):
            text = {"text": code["text"].strip(" ^*|")} if code["text"].strip(" ^*|") else {}
            events.append({**modifiers, "code": code["code"], "point": code["point"], **text})
            at = code.end()
        else:
            break
    return events


# --- answers ---


def write_answer(id_: str, to: Frame, shown: datetime | None = None, key: bytes | None = None) -> bytes:
    """ACK or DUH to a frame; `shown`, our clock, is left out when it is None. With a key: encrypted."""
    place = f"{to.receiver}{to.line}" + (f"#{to.account}" if to.account else "")
    stamp = f"_{shown:%H:%M:%S,%m-%d-%Y}" if shown else ""
    if key is None:
        return _sealed(f'"{id_}"{to.sequence}{place}[]{stamp}')
    return _sealed(f'"*{id_}"{to.sequence}{place}[{encrypt(f"|]{stamp}", key)}')


def write_nak(shown: datetime) -> bytes:
    """The time stamp of a frame was wrong: this is the time."""
    return _sealed(f'"NAK"0000R0L0A0[]_{shown:%H:%M:%S,%m-%d-%Y}')


def _sealed(text: str) -> bytes:
    counted = text.encode()
    return b"\n%04X%04X%b\r" % (crc16(counted), len(counted), counted)


def read_key(text: str) -> bytes:
    """A key of 16, 24 or 32 characters as they are, or `hex:` and 32, 48 or 64 digits. Raises ValueError."""
    key = bytes.fromhex(text.removeprefix("hex:")) if text.startswith("hex:") else text.encode()
    if len(key) not in (16, 24, 32):
        raise ValueError("expected a key of 16, 24 or 32 characters, or hex: and as many bytes")
    return key


def encrypt(content: str, key: bytes) -> str:
    """`content` begins with `|`. The pad needs not be random: the time stamp makes each message another one."""
    data = content.encode()
    pad = b"0" * (-len(data) % BLOCK_BYTES)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(BLOCK_BYTES))).encryptor()
    return (encryptor.update(pad + data) + encryptor.finalize()).hex().upper()


def decrypt(frame: Frame, key: bytes) -> Frame | None:
    """The frame with its content; None when that is no content (another key, or not whole)."""
    try:
        cipher = bytes.fromhex(frame.cipher)
    except ValueError:
        return None
    if not cipher or len(cipher) % BLOCK_BYTES:
        return None
    decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(BLOCK_BYTES))).decryptor()
    plain = _text(decryptor.update(cipher) + decryptor.finalize())
    _, bar, content = plain.partition("|")
    if not bar:  # some pad up to the bracket when there is no data
        _, bracket, rest = plain.partition("]")
        found = _with_content(frame, bracket + rest)
        return found if found.readable and found.time_given else None
    found = _with_content(frame, content if content.startswith(("#", "|", "]")) else f"|{content}")
    return found if found.readable else None

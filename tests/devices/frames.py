"""One good report of each family, made by hand from the protocols' byte tables, and where it comes from."""

from binascii import crc_hqx
from datetime import UTC, datetime

from devices.families import meokon_wire
from devices.framing import crc16, xor8
from tests.devices.messages import HIKVISION_FORCED

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)

# GB/T 26875.3 type 2: panel 889, system 1-3, photoelectric smoke detector (42) 0x12 in alarm, 20:29:50 local time.
SMOKE_UNIT = "0201" + "01032A12000000" + "0200" + "B4F3CCC3".ljust(62, "0") + "321D14180B1A"
SMOKE_HEAD = "0700" + "0101" + "331D14180B1A" + "790300000000" + "385B01000000" + "3000" + "02"


def gbt26875(head: str = SMOKE_HEAD, unit: str = SMOKE_UNIT) -> bytes:
    body = bytes.fromhex(head + unit)
    return b"@@" + body + bytes((sum(body) & 0xFF,)) + b"##"


def watch(content: str, device: str = "8800000015") -> bytes:
    return f"[3G*{device}*{len(content):04X}*{content}]".encode()


SOS_CONTENT = "AL,241126,122950,A,30.743600,N,120.483800,E,0.0,0,5,9,90,80,100,0,00010000"
UD_CONTENT = SOS_CONTENT.replace("AL", "UD").replace("00010000", "00000000")


def jt808(id_: str, body: str, phone: str = "013912345678", serial: int = 7, parts: str = "") -> bytes:
    properties = len(body) // 2 | (0x2000 if parts else 0)
    frame = bytes.fromhex(f"{id_}{properties:04X}{phone}{serial:04X}{parts}{body}")
    check = 0
    for byte in frame:
        check ^= byte
    inner = (frame + bytes((check,))).replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")
    return b"\x7e" + inner + b"\x7e"


# 0x0200: no alarm, ACC on and positioned, 30.743600 N 120.483800 E, 5 m, 36.0 km/h, course 90, 2026-11-24 20:29:50.
LOCATION_BODY = "00000000" + "00000003" + "01D51C30" + "072E6FD8" + "0005" + "0168" + "005A" + "261124202950" + "310109"
EMERGENCY_BODY = "00000001" + LOCATION_BODY[8:]

# Ring the bell of a phone, seven seconds old.
COT = (
    '<event version="2.0" uid="PHONE-7-9-1-1" type="{type}" how="m-g" time="2026-11-24T12:29:53.000Z"'
    ' start="2026-11-24T12:29:53.000Z" stale="2026-11-24T12:39:53.000Z">'
    '<point lat="30.743600" lon="120.483800" hae="12.5" ce="4.0" le="9999999.0"/><detail>{detail}</detail></event>'
)
COT_LINK = '<link uid="PHONE-7" type="a-f-G-U-C" relation="p-p"/>'
COT_ALERT = f'<emergency type="Ring The Bell">North gate</emergency>{COT_LINK}'


def cot(type_: str = "b-a-o-pan", detail: str = COT_ALERT) -> bytes:
    return COT.format(type=type_, detail=detail).encode()


def sia_dc09(text: str) -> bytes:
    return b"\n%04X%04X%b\r" % (crc16(text.encode()), len(text), text.encode())


def nmea(text: str, prefix: str = "") -> bytes:
    return f"{prefix}${text}*{xor8(text.encode()):02X}\r\n".encode()


# A LIP short report: 116.397003 E, 39.908996 N, east, speed unknown; its last bits are the reason for sending.
LIP = 0x052C56D9C61360FE800 << 4


def tetra(reason: int = 2, calling: str = "1234567", tl: str = "830407") -> bytes:
    data = tl + f"{LIP | reason << 4:020X}"
    return f"+CTSDSR: 12,{calling},0,7654321,0,{len(tl) * 4 + 76}\r\n{data}\r\n".encode()


# Pressure terminal: one record of 0.538 MPa above its high limit of 0.500, taken at 12:29:50.
PRESSURE = meokon_wire.Report(
    id="SHMK19060013",
    battery=0x34,
    signal_dbm=-56,
    interval_s=60,
    record_count=1,
    type=1,
    alarms=0b10,
    low=100,
    high=500,
    now=538,
    epoch=1795523390,
    records=(538,),
)

# Mic-E: 30 44.61 N in the destination, whose first three digits say "emergency"; 120 29.28 E, 10 knots, course 90.
MIC_E = "304TV1:`098m v>/help"


def aprs(packet: str = MIC_E, source: str = "BH4ABC-7") -> bytes:
    return f"{source}>{packet}\r\n".encode()


FIRE_TEXT = '"SIA-DCS"0008R0L0#1234[#1234|Nri2/FA017^Hall A^]'


def part(body: str, kind: str = "text/plain", length: int | None = None) -> bytes:
    """A part of an HTTP multipart stream."""
    size = len(body.encode()) if length is None else length
    return f"--myboundary\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n{body}\r\n".encode()


DAHUA_DURESS = 'Code=Duress;action=Pulse;index=0;data={"UTC":1795523390,"UserID":"4711"}'  # ten seconds old


def osdp(code: int, data: bytes = b"", address: int = 5, sequence: int = 1) -> bytes:
    """A reply in clear text, with CRC."""
    frame = bytes((0x53, address | 0x80)) + (8 + len(data)).to_bytes(2, "little") + bytes((sequence | 4, code)) + data
    return b"\xff" + frame + crc_hqx(frame, 0x1D0F).to_bytes(2, "little")


GOOD: dict[str, tuple[str, bytes]] = {
    "gbt26875": ("889", gbt26875()),
    "watch": ("8800000015", watch(SOS_CONTENT)),
    "aprs": ("BH4ABC-7", aprs()),
    "meokon": ("SHMK19060013", meokon_wire.write_frame(PRESSURE)),
    "nmea": ("4711", nmea("AIALR,122950.00,006,A,V,AIS:general failure", "4711")),
    "tetra": ("1234567", tetra()),
    "sia_dc09": ("1234", sia_dc09(FIRE_TEXT)),
    "cot": ("PHONE-7", cot()),
    "dahua": ("unnamed", part(DAHUA_DURESS)),
    "hikvision": ("88:de:39:5d:b5:e1", part(HIKVISION_FORCED, "application/json")),
    "osdp": ("bus/5", osdp(0x48, b"\x01\x00")),  # tamper
    "jt808": ("13912345678", jt808("0200", EMERGENCY_BODY)),
}

# Families that do not answer a report.
SILENT = frozenset(
    {
        "aprs",
        "cot",
        "dahua",
        "hikvision",
        "meokon",
        "nmea",
        "osdp",
    }
)


# Starts, ends and other pieces that a reader may take for the beginning of a frame.
MARKS: dict[str, tuple[bytes, ...]] = {
    "gbt26875": (b"@@", b"##"),
    "jt808": (b"\x7e", b"\x7d", b"\x7e\x30", b"(", b")"),
    "watch": (b"[3G*", b"[", b"]", b"[3G*1*0001*"),
    "cot": (b"<event ", b"</event>", b"<?xml", b"<![CDATA[", b"\xbf", b"\xbf\x01\xbf"),
    "dahua": (b"--myboundary\r\n", b"--", b"-", b"--a\r\nContent-Type: image/jpeg\r\n\r\n", b"Code=", b"\r\n\r\n"),
    "aprs": (b"BH4ABC-7>APRS:!", b"}", b":", b"#\r\n", b"BH4ABC-7>APRS,A,B:}BH4ABC-7>APRS:}"),
    "meokon": (b"\xa5\x5a", b"\xa5", b"\xa5\x5a\x00\x00\x3b", b"\x55\xaa"),
    "osdp": (b"\x53", b"\xff\x53", b"\x53\x85\x08\x00\x05", b"\x53\x85\xa0\x05\x05"),
    "nmea": (b"$GPRMC,", b"$", b"!", b"IMEI 355797031609284\r\n"),
    "tetra": (b"+CTSDSR: 12,1234567,0,7654321,0,92\r\n", b"+CTICN: ", b"+CTSDSR: 12,"),
    "sia_dc09": (b'5B090059"', b"5", b"\r"),
}


# Commands that each family takes, and what devices may say to the first few of them.
COMMANDS: dict[str, tuple[tuple[str, dict[str, str]], ...]] = {
    "gbt26875": (("read_state", {}), ("set_time", {}), ("duty_check", {"minutes": "1"}), ("read_time", {"of": "1-3"})),
    "watch": (("locate", {}), ("measure_heart", {}), ("measure_pressure", {}), ("restart", {})),
    "jt808": (
        ("locate", {}),
        ("set_parameters", {"report_s": "60"}),
        ("read_parameters", {}),
        ("read_attributes", {}),
        ("lock_doors", {}),
    ),
    "tetra": (("locate", {}), ("text", {"text": "Hall A"})),
}
SAID: tuple[bytes, ...] = (
    *(
        gbt26875(f"{serial:02X}00" + SMOKE_HEAD[4:-6] + f"{len(unit) // 2:02X}00{command:02X}", unit)
        for serial in (1, 2, 3)
        for command, unit in ((3, ""), (6, ""), (5, "150100321D14180B1A"), (2, "18012001321D14180B1A"))
    ),
    tetra(32),
    b"+CTSDSR: 12,1234567,0,7654321,0,32\r\n82100001\r\n",
    b"+CTSDSR: 12,1234567,0,7654321,0,32\r\n82104001\r\n",
    b"+CTSDSR: 12,1234567,0,7654321,0,24\r\n0A460A\r\n",
    *(watch(content) for content in ("CR", "hrtstart,1", "bphrt", "RESET", "heart,70", "bphrt,120,80,70", UD_CONTENT)),
    *(
        jt808(id_, body.format(serial=serial))
        for serial in (2, 3, 4, 5, 6)
        for id_, body in (
            ("0001", "{serial:04X}820100"),
            ("0001", "{serial:04X}820103"),
            ("0104", "{serial:04X}0100000029040000003C"),
            ("0201", "{serial:04X}" + LOCATION_BODY),
            ("0500", "{serial:04X}" + LOCATION_BODY),
            ("0107", "00" * 60),
        )
    ),
)

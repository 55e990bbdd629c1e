"""An intrusion and fire panel over IP, ANSI/SIA DC-09 with Contact ID, device side.

    LF CCCC 0LLL "ADM-CID"SSSS R0 L0 #ACCT [#ACCT|QEEE GG ZZZ] _TIME CR
    CCCC: CRC-16 (reflected 0xA001, from 0) of what stands between the length and CR; LLL: its length; S: number

Settings: `report_every_s` (a periodic test), `heartbeat_s` (NULL). Times are UTC.
Actions: those of ALARMS and the same with "_over", with `zone`; arm, disarm.
"""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, convert

from simulators.device import Accepted, NoArgs
from simulators.scripted import Periods, Talker

AREA = "01"
NUMBER_MAX = 9_999
ACK = re.compile(rb'\n[0-9A-F]{8}"ACK"(\d{4})[^\r]*\r')
# action -> (event code, kind of alarm)
ALARMS = {
    "fire": ("110", "fire"),
    "smoke": ("111", "smoke"),
    "manual_call_point": ("115", "manual_call_point"),
    "panic": ("120", "sos"),
    "duress": ("121", "duress"),
    "burglary": ("130", "intrusion"),
    "tamper": ("137", "tamper"),
    "gas": ("151", "gas"),
}


class OfZone(Struct, frozen=True, forbid_unknown_fields=True):
    zone: Annotated[int, Meta(ge=0, le=999)] = 5


class AlarmPanel(Talker):
    WHAT, FAMILY = "an alarm panel", "sia_dc09"
    ACTIONS: ClassVar[dict[str, type[Struct]]] = {
        **dict.fromkeys(ALARMS, OfZone),
        **dict.fromkeys((f"{name}_over" for name in ALARMS), OfZone),
        "arm": NoArgs,
        "disarm": NoArgs,
    }

    def happened(self, action: str, said: Any, at: datetime) -> None:
        if not isinstance(said, OfZone):
            kind, qualifier = {"arm": ("armed", 3), "disarm": ("disarmed", 1)}[action]
            self._contact_id(f"{qualifier}401 {AREA} 001", at, self.row(kind, at, f"{AREA}-001"))
            return
        code, kind = ALARMS[action.removesuffix("_over")]
        raised = not action.endswith("_over")
        row = self.row(kind, at, f"{AREA}-{said.zone:03}", raised=raised)
        self._contact_id(f"{1 if raised else 3}{code} {AREA} {said.zone:03}", at, row)

    def measured(self, at: datetime) -> None:
        self._contact_id(f"1602 {AREA} 000", at, self.row("test", at, f"{AREA}-000"))

    def alive(self, now: datetime) -> None:
        self.remark(_frame(f'"NULL"0000R0L0#{self.native_id}[]'))

    def heard(self, received: bytes, now: datetime) -> bytes:
        for found in ACK.finditer(received):
            self.confirm(int(found[1]))
        return received[received.rfind(b"\r") + 1 :]

    def _contact_id(self, data: str, at: datetime, row: Accepted) -> None:
        key = self.next_key() % NUMBER_MAX + 1
        head = f'"ADM-CID"{key:04}R0L0#{self.native_id}'
        self.tell(key, _frame(f"{head}[#{self.native_id}|{data}]_{at:%H:%M:%S,%m-%d-%Y}"), row)


def _frame(text: str) -> bytes:
    body = text.encode()
    check = 0
    for byte in body:
        check ^= byte
        for _ in range(8):
            check = check >> 1 ^ (0xA001 if check & 1 else 0)
    return b"\n%04X%04X%b\r" % (check, len(body), body)


def build(native_id: str, settings: dict[str, Any], seed: int) -> AlarmPanel:
    """Raises ValueError for an id that has no place in the frame."""
    if not re.fullmatch(r"[0-9A-F]{3,16}", native_id):
        raise ValueError(f"an account is 3 to 16 hex digits, not {native_id!r}")
    return AlarmPanel(native_id, convert(settings, Periods), seed)

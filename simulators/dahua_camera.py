"""A Dahua camera: its events as parts of an endless answer.

    --myboundary CR LF Content-Type: text/plain CR LF Content-Length: N CR LF CR LF
    Code=FireWarning;action=Start;index=0;data={"UTC":1795523390}          or Heartbeat

Nothing is confirmed; a command to its doors is answered. Settings: `report_every_s` (movement), `heartbeat_s`.
Actions: those of CODES and with "_over".
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from msgspec import convert

from simulators.device import Accepted
from simulators.family import EdgeKeys
from simulators.scripted import Periods, Talker, no_args
from simulators.spec import DeviceSpec

CODES = {"fire": ("FireWarning", "fire"), "smoke": ("SmokeDetection", "smoke"), "forced": ("BreakIn", "door_forced")}
BOUNDARY = "myboundary"
EVENTS = "/cgi-bin/eventManager.cgi?action="
DOORS = "/cgi-bin/accessControl.cgi?action="


class DahuaCamera(Talker):
    WHAT, FAMILY = "a camera", "dahua"
    ACTIONS: ClassVar = no_args(*CODES, *(f"{name}_over" for name in CODES))
    CONFIRMED = False
    CONTENT_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    STREAM = f"{EVENTS}attach"

    def answer(self, method: str, path: str, now: datetime) -> bytes | None:
        """A door opens; what lasts it cannot say, as old firmware."""
        return b"OK\r\n" if path.startswith(DOORS) else None

    def happened(self, action: str, said: Any, at: datetime) -> None:
        code, kind = CODES[action.removesuffix("_over")]
        raised = not action.endswith("_over")
        row = self.row(kind, at, f"{code} 1", raised=raised)
        self._event(f"Code={code};action={'Start' if raised else 'Stop'};index=0", at, row)

    def measured(self, at: datetime) -> None:
        self._event("Code=LoginFailure;action=Pulse;index=0", at, self.row("login_failed", at, "LoginFailure 1"))

    def alive(self, now: datetime) -> None:
        self.remark(_part("Heartbeat"))

    def _event(self, text: str, at: datetime, row: Accepted) -> None:
        self.tell(self.next_key(), _part(f'{text};data={{"UTC":{int(at.timestamp())}}}'), row)


def _part(text: str) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n{text}\r\n".encode()


def build(native_id: str, settings: dict[str, Any], seed: int) -> DahuaCamera:
    return DahuaCamera(native_id, convert(settings, Periods), seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    path = f"{EVENTS}attach&codes=[All]&heartbeat=5"
    return {"url_path": path, "settings": {"device": specs[0].id}}

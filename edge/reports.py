"""Which reports were accepted lately, so that a second delivery is answered but not stored again. Pure.

Rules
- A report is known by (device, frame id). One frame may carry several observations with ids "x.0", "x.1"; they are one
  report "x", and come in one delivery.
- Each enrolled device has a share of REPORTS_MAX that no other device can push out: a talkative neighbour does not make
  us forget what a device that was cut off will send again. Beyond its share a device's oldest report is forgotten.
- What is new in a transaction counts only when that is committed (`settle`); otherwise it is taken back (`undo`).
- The memory outlives a restart: `fresh()` gives the bytes to store with each transaction, `load` takes them back, and
  `whole()` replaces them all from time to time.

Device and report are kept as 8-byte hashes, a device's one behind the other in one bytearray: a set of Python objects
would take fifteen times the memory. A chance collision inside one device's share is one in 10^15.
"""

from hashlib import blake2b

REPORTS_MAX = 65_536
SHARE_MIN, SHARE_MAX = 64, 1_024
HASH_BYTES = 8
ENTRY_BYTES = 2 * HASH_BYTES


def name_of(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=HASH_BYTES).digest()


class Reports:
    def __init__(self, devices: int) -> None:
        self._share = min(max(REPORTS_MAX // max(devices, 1), SHARE_MIN), SHARE_MAX)
        self._names: dict[str, bytes] = {}  # device -> hash, so that it is not made anew for each report
        self._devices_max = max(devices, 1) * 2 + 16
        self._held: dict[bytes, bytearray] = {}  # device -> its reports, oldest first
        self._new: dict[tuple[bytes, bytes], None] = {}
        self._rows: set[tuple[bytes, str]] = set()
        self._last = ("", b"")  # the observations of one frame follow one another
        self.duplicates = 0

    def offer(self, device: str, frame_id: str) -> bool:
        """Whether to store an observation: its report was not accepted before, nor itself in this transaction."""
        if not frame_id:
            return True
        name = self._names.get(device) or self._name(device)
        report = self._report(frame_id.partition(".")[0])
        row = (name, frame_id)
        if self._knows(name, report) or row in self._rows:
            self.duplicates += 1
            return False
        self._rows.add(row)
        self._new[(name, report)] = None
        return True

    def holds(self, device: str, frame_id: str) -> bool:
        """Whether this report was accepted before."""
        name = self._names.get(device) or name_of(device)
        return bool(frame_id) and self._knows(name, name_of(frame_id.partition(".")[0]))

    def fresh(self) -> bytes:
        """What the transaction at hand adds."""
        return b"".join(name + report for name, report in self._new)

    @staticmethod
    def entries(stored: bytes) -> int:
        return len(stored) // ENTRY_BYTES

    def settle(self) -> None:
        for name, report in self._new:
            self._keep(name, report)
        self.undo()

    def undo(self) -> None:
        self._new.clear()
        self._rows.clear()

    def load(self, stored: bytes) -> None:
        """Take back what was stored, oldest first."""
        for at in range(0, len(stored) - ENTRY_BYTES + 1, ENTRY_BYTES):
            self._keep(stored[at : at + HASH_BYTES], stored[at + HASH_BYTES : at + ENTRY_BYTES])

    def whole(self) -> bytes:
        """Everything held, to replace all that was stored."""
        return b"".join(
            name + reports[at : at + HASH_BYTES]
            for name, reports in self._held.items()
            for at in range(0, len(reports), HASH_BYTES)
        )

    def _knows(self, name: bytes, report: bytes) -> bool:
        reports = self._held.get(name)
        if reports is None:
            return False
        at = reports.find(report)
        while at % HASH_BYTES and at > 0:  # across the border of two others
            at = reports.find(report, at + 1)
        return at >= 0

    def _keep(self, name: bytes, report: bytes) -> None:
        reports = self._held.get(name)
        if reports is None:
            if len(self._held) >= self._devices_max:  # devices that were taken out of the configuration
                del self._held[next(iter(self._held))]
            reports = self._held[name] = bytearray()
        reports += report
        if len(reports) > self._share * HASH_BYTES:
            del reports[:HASH_BYTES]

    def _report(self, text: str) -> bytes:
        if text != self._last[0]:
            self._last = (text, name_of(text))
        return self._last[1]

    def _name(self, device: str) -> bytes:
        if len(self._names) >= self._devices_max:
            self._names.clear()
        name = self._names[device] = name_of(device)
        return name

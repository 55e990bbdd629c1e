"""Which reports were accepted lately, so that a second delivery is answered but not stored again. Pure.

Rules
- A report is known by (device, frame id). One frame may carry several observations with ids "x.0", "x.1"; they are one
  report "x", and come in one delivery.
- A device that was cut off before our answers sends again all that it has, so each may have SHARE_MAX reports here. No
  device needs that often: the memory is made for REPORTS_MAX of all devices, and who needs more borrows it.
- When the memory is full, those forget their oldest reports whose memory reaches back furthest: counted in reports of
  all devices, a silence as SILENCE_MAX at most. They have talked on for long and got their answers; a device that
  fell silent after a burst may have got none. Nobody is left with less than SHARE_MIN.
- A report that is recognised counts as new: what is sent again in order is not forgotten just before it comes.
- What is new in a transaction counts only when that is committed (`settle`); otherwise it is taken back (`undo`).
- The memory outlives a restart: `fresh()` gives the bytes to store with each transaction, `load` takes them back, and
  `whole()` replaces them all when more than `stored_max` are stored.

Device and report are kept as 8-byte hashes, a device's one behind the other in one bytearray: a set of Python objects
would take ten times the memory. A chance collision inside one device's share is one in 10^15.
"""

from array import array
from collections.abc import Iterator
from hashlib import blake2b
from heapq import merge, nlargest

from msgspec import Struct, field

REPORTS_MAX = 65_536
SHARE_MIN, SHARE_MAX = 32, 8_192
SILENCE_MAX = 4_096
HASH_BYTES = 8
ENTRY_BYTES = 2 * HASH_BYTES
FREED_SHARE, FREED_FROM_MAX = 64, 64  # a full memory frees one part in so many at once, taken from so many devices


def name_of(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=HASH_BYTES).digest()


class _Memory(Struct):
    """One device's reports, oldest first, each with its number among those of all devices."""

    reports: bytearray = field(default_factory=bytearray)
    numbers: "array[int]" = field(default_factory=lambda: array("Q"))
    reach: int = 0

    def find(self, report: bytes) -> int:
        """Its index, -1 when it is not here."""
        at = self.reports.find(report)
        while at % HASH_BYTES and at > 0:  # across the border of two others
            at = self.reports.find(report, at + 1)
        return at // HASH_BYTES if at >= 0 else -1

    def add(self, report: bytes, number: int) -> None:
        if self.numbers:
            self.reach += _gap(self.numbers[-1], number)
        self.reports += report
        self.numbers.append(number)

    def remove(self, index: int) -> None:
        """Any but the newest."""
        numbers = self.numbers
        self.reach -= _gap(numbers[index], numbers[index + 1])
        if index:
            before, after = numbers[index - 1], numbers[index + 1]
            self.reach += _gap(before, after) - _gap(before, numbers[index])
        del numbers[index]
        del self.reports[index * HASH_BYTES : (index + 1) * HASH_BYTES]

    def remove_oldest(self, count: int) -> None:
        """Not all of them."""
        self.reach -= sum(_gap(self.numbers[at], self.numbers[at + 1]) for at in range(count))
        del self.numbers[:count]
        del self.reports[: count * HASH_BYTES]


def _gap(one: int, next_one: int) -> int:
    return min(next_one - one, SILENCE_MAX)


class Reports:
    def __init__(self, devices: int, devices_max: int = 0) -> None:
        """Made for so many `devices`; up to `devices_max` may be enrolled later (`expect`)."""
        self._names: dict[str, bytes] = {}  # device -> hash, so that it is not made anew for each report
        self._devices_max = max(devices * 2, devices_max, 2) + 16
        self._max = 0
        self.expect(devices)
        self._held: dict[bytes, _Memory] = {}
        self._count = 0
        self._number = 0
        self._new: dict[tuple[bytes, bytes], None] = {}
        self._rows: set[tuple[bytes, str]] = set()
        self._last = ("", b"")  # the observations of one frame follow one another
        self.duplicates = 0

    def expect(self, devices: int) -> None:
        """So many are enrolled now; what is held for those that were is kept."""
        self._max = max(self._max, REPORTS_MAX, SHARE_MIN * devices)

    @property
    def stored_max(self) -> int:
        """Entries in storage beyond which `whole()` should replace them."""
        return 2 * self._max

    def offer(self, device: str, frame_id: str) -> bool:
        """Whether to store an observation: its report was not accepted before, nor itself in this transaction."""
        if not frame_id:
            return True
        name = self._names.get(device) or self._name(device)
        report = self._report(frame_id.partition(".")[0])
        row = (name, frame_id)
        known = (name, report) not in self._new and self._knows(name, report)
        if known or row in self._rows:
            self.duplicates += 1
            if known:
                self._keep(name, report)
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
            self._keep(name, report, new=True)
        self.undo()

    def undo(self) -> None:
        self._new.clear()
        self._rows.clear()

    def load(self, stored: bytes) -> None:
        """Take back what was stored, oldest first."""
        for at in range(0, len(stored) - ENTRY_BYTES + 1, ENTRY_BYTES):
            self._keep(stored[at : at + HASH_BYTES], stored[at + HASH_BYTES : at + ENTRY_BYTES])

    def whole(self) -> bytes:
        """Everything held, oldest first, to replace all that was stored."""
        return b"".join(entry for _, entry in merge(*(_entries(name, held) for name, held in self._held.items())))

    def _knows(self, name: bytes, report: bytes) -> bool:
        memory = self._held.get(name)
        return memory is not None and memory.find(report) >= 0

    def _keep(self, name: bytes, report: bytes, new: bool = False) -> None:
        """As the newest of its device; `new`: it is known not to be held. Added before it is removed: `holds` asks from
        another thread."""
        memory = self._held.get(name) or self._new_memory(name)
        self._number += 1
        at = -1 if new else memory.find(report)
        memory.add(report, self._number)
        if at >= 0:
            memory.remove(at)
        elif len(memory.numbers) > SHARE_MAX:
            memory.remove_oldest(1)
        else:
            self._count += 1
            if self._count > self._max:
                self._make_room()

    def _make_room(self) -> None:
        wanted = self._max // FREED_SHARE
        able = (memory for memory in self._held.values() if len(memory.numbers) > SHARE_MIN)
        for memory in nlargest(FREED_FROM_MAX, able, key=lambda memory: memory.reach):
            freed = min((len(memory.numbers) - SHARE_MIN + 1) // 2, wanted)
            memory.remove_oldest(freed)
            self._count -= freed
            wanted -= freed

    def _new_memory(self, name: bytes) -> _Memory:
        if len(self._held) >= self._devices_max:  # devices that were taken out of the configuration
            gone = min(self._held, key=lambda one: self._held[one].numbers[-1])
            self._count -= len(self._held.pop(gone).numbers)
        memory = self._held[name] = _Memory()
        return memory

    def _report(self, text: str) -> bytes:
        if text != self._last[0]:
            self._last = (text, name_of(text))
        return self._last[1]

    def _name(self, device: str) -> bytes:
        if len(self._names) >= self._devices_max:
            self._names.clear()
        name = self._names[device] = name_of(device)
        return name


def _entries(name: bytes, memory: _Memory) -> Iterator[tuple[int, bytes]]:
    for index, number in enumerate(memory.numbers):
        yield number, name + memory.reports[index * HASH_BYTES : (index + 1) * HASH_BYTES]

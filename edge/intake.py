"""The alarm path of the edge: what a Session found becomes acts, rows of the spool and, after the commit, an answer.

    results -> pipeline (where was it) -> rules act -> spool append ... commit ... answer

Rules
- Actuators are driven before anything is stored, and whatever goes wrong there, it is stored. A report that was
  accepted before, or that drove something before the disk refused it, drives nothing: it is a device that missed our
  answer, and a siren that a person has silenced stays silent. (A restart forgets what the disk refused.)
- Rules act on the edge's own alarms (`lost_contact`), too.
- `done` is called when everything found is durable, or with the error when it is not: then nobody is answered.
- What the edge says of itself has no one to send it again: alarms and events that the disk does not take are held
  here, the newest UNSAID_MAX of them, and offered again. What is dropped is counted.
- What a device says to a command is handed on at once: it is no row.
- A device that is not enrolled is named once an hour in the log, with what an installer needs; its bytes make no row
  but one Event of the gateway. It is named once more when it says for the first time what it is. At most STRANGERS_MAX
  are named in an hour.
"""

from collections import deque
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog
from msgspec import Struct

from devices.observation import Alarm, CommandAnswer, DeviceId, Observation, Rejected, Result, Telemetry
from edge import clock, contacts, pipeline
from edge.actuators import Actuators
from edge.config import Rule
from edge.contacts import Contacts
from edge.fences import Drawn
from edge.health import event
from edge.pipeline import View
from edge.rules import acts
from edge.spool import Done, Spool
from edge.spool_file import SpoolError
from edge.supervisor import outcome_of

LATE_S = 10.0  # a supervision that comes later than this was not listening
DRIVEN_MAX = 10_000
STRANGERS_MAX = 1_000
STRANGER_SAID_EVERY = timedelta(hours=1)
SAID_CHARS_MAX = 100
UNSAID_MAX = 1_000
LOST = "lost"  # the name under which the spool keeps which devices are lost

log = structlog.get_logger()


class Knock(Struct):
    """Of a device that is not enrolled: when it was named last, whether it said what it is, how many frames since."""

    named_at: datetime
    said: bool
    frames: int = 0


class Counts(Struct):
    """Since the start of this agent."""

    observations: int = 0
    rejected: int = 0
    unsaid_dropped: int = 0


class Intake:
    def __init__(
        self,
        *,
        gateway: DeviceId,
        view: View,
        rules: Sequence[Rule],
        actuators: Actuators,
        spool: Spool,
        contacts: Contacts,
        answered: Callable[[CommandAnswer], None],
    ) -> None:
        self.counts = Counts()
        self._gateway = gateway
        self._view = view
        self._rules = rules
        self._actuators = actuators
        self._spool = spool
        self._contacts = contacts
        self._answered = answered
        self._strangers: dict[DeviceId, Knock] = {}  # the one that was named longest ago first
        self._unsaid: deque[Observation] = deque()
        self._driven: dict[tuple[DeviceId, str], None] = {}  # reports that drove something, oldest first

    def use_zones(self, drawn: Drawn) -> None:
        """Zones have been drawn anew."""
        if over := self._view.fences.obey(drawn, clock.now()):
            self.say(over)

    def use_devices(
        self, view: View, watched: Mapping[DeviceId, tuple[float, str]], gone: Collection[DeviceId]
    ) -> None:
        """Devices have been enrolled anew: `view` of all of them, `watched` the fresh ones (silence_s_max, link)."""
        self._view = msgspec.structs.replace(self._view, installed=view.installed, components=view.components)
        at, now = clock.monotonic(), clock.now()
        for device, (silence_s_max, link) in watched.items():
            self._contacts.watch(device, silence_s_max, link, at)
        for device in gone:
            self._view.fences.forget(device)
        cleared = [self._contacts.forget(device, now) for device in gone]
        for device in (*watched, *gone):
            self._strangers.pop(device, None)  # when it is one again, it is named at once
        if over := [one for one in cleared if one is not None]:
            self.say(over)

    def forget_others(self, enrolled: Container[str]) -> None:
        """Tracks of before the start whose devices are enrolled no more."""
        for device in self._view.fences.tracked():
            if device not in enrolled:
                self._view.fences.forget(device)

    def take(self, link: str, results: Sequence[Result], done: Done) -> None:
        now = clock.now()
        found = [result for result in results if isinstance(result, Observation)]
        strange: list[Observation] = []
        if len(found) < len(results):
            refused = [result for result in results if isinstance(result, Rejected)]
            self.counts.rejected += len(refused)
            strange = [notice for result in refused for notice in self._stranger(link, result, now)]
        self._view, found = pipeline.run(self._view, found)
        self._act(found, now)
        self.counts.observations += len(found)
        self._spool.append(found, *self._with_tracks(done))
        if heard := self._heard(link, found, now):
            self.say(heard)
        if strange:
            self.say(strange)
        for result in results:
            if isinstance(result, CommandAnswer):
                self._answered(result)

    def _with_tracks(self, done: Done) -> tuple[Done, dict[str, str]]:
        """Tracks are kept with the rows that they made, and are as they were when these are refused."""
        fences = self._view.fences
        changed = fences.take_changed()
        if not changed:
            return done, {}

        def settled(error: SpoolError | None) -> None:
            if error is not None:
                fences.take_back(changed)
            done(error)

        return settled, fences.keeps(changed)

    def keep_tracks(self) -> None:
        """Those that moved on without telling anything, for the next start."""
        if keeps := self._view.fences.keeps():
            self._spool.append([], lambda error: None, keeps)

    def say(self, observations: Sequence[Observation]) -> None:
        """Observations of the edge itself."""
        _, found = pipeline.run(self._view, list(observations))
        self._act(found, clock.now())
        self._keep(found)

    def say_again(self) -> None:
        """Offer again what the disk did not take."""
        if self._unsaid:
            observations = list(self._unsaid)
            self._unsaid.clear()
            self._keep(observations)

    def supervise(self, passed_s: float, held_s: Mapping[str, float]) -> None:
        """Look for devices that have gone silent. `passed_s` since last asked, `held_s` of which each link did not
        read."""
        at = clock.monotonic()
        if passed_s >= LATE_S or self._spool.refuses_alarms:
            self._contacts.excuse(passed_s, at)
        else:
            for link, seconds in held_s.items():
                if seconds:
                    self._contacts.excuse(seconds, at, link)
        if silent := self._contacts.overdue(at, clock.now()):
            self.say(silent)
        if due := self._view.fences.due(clock.now()):
            self.say(due)

    def _act(self, found: list[Observation], now: datetime) -> None:
        if error := outcome_of(partial(self._drive, found, now)):
            log.error("rules_failed", error=error)

    def _drive(self, found: list[Observation], now: datetime) -> None:
        if not acts(self._rules, found, now):
            return
        fresh = [one for one in found if not self._spool.holds(one) and _report(one) not in self._driven]
        for act in acts(self._rules, fresh, now):
            self._actuators.drive(act)
        for one in fresh:
            if one.frame_id and isinstance(one.body, Alarm):
                self._driven[_report(one)] = None
        while len(self._driven) > DRIVEN_MAX:
            del self._driven[next(iter(self._driven))]

    def _heard(self, link: str, found: list[Observation], now: datetime) -> list[Observation]:
        """Alarms that are over because their device is there again."""
        at = clock.monotonic()
        devices = {observation.device for observation in found}
        return [back for device in devices if (back := self._contacts.heard(device, link, at, now)) is not None]

    def _keep(self, found: list[Observation]) -> None:
        supervised = any(isinstance(one.body, Alarm) and one.body.kind == contacts.KIND for one in found)
        keeps = {LOST: msgspec.json.encode(self._contacts.lost).decode()} if supervised else {}
        keeps |= self._view.fences.keeps(self._view.fences.take_changed())
        self._spool.append(found, lambda error: self._kept(found, error), keeps)

    def _kept(self, observations: list[Observation], error: SpoolError | None) -> None:
        if error is not None:
            self._unsaid.extend(one for one in observations if not isinstance(one.body, Telemetry))
        while len(self._unsaid) > UNSAID_MAX:
            self._unsaid.popleft()
            self.counts.unsaid_dropped += 1

    def _stranger(self, link: str, result: Rejected, now: datetime) -> list[Observation]:
        """A notice about a device that knocked without being enrolled."""
        if result.device is None or result.reason != "not enrolled":
            return []
        knock = self._strangers.get(result.device)
        frames = 1
        if knock is not None:
            knock.frames += 1
            if now - knock.named_at < STRANGER_SAID_EVERY and (knock.said or not result.said):
                return []
            frames = knock.frames
        elif len(self._strangers) >= STRANGERS_MAX:
            oldest, before = next(iter(self._strangers.items()))
            if now - before.named_at < STRANGER_SAID_EVERY:
                return []  # somebody is making names up
            del self._strangers[oldest]
        self._strangers.pop(result.device, None)
        self._strangers[result.device] = Knock(now, bool(result.said) or bool(knock and knock.said))
        log.warning("device_not_enrolled", link=link, device=result.device)
        own = {"device": result.device, "link": link, "frame": result.frame.hex(), "frames": str(frames)}
        said = {name: _shown(text) for name, text in result.said.items()}
        return [event(self._gateway, now, "unknown_device", said | own)]


def _shown(text: str) -> str:
    """What a stranger says of itself is shown to people, and no longer than people need."""
    return "".join(letter for letter in text if letter.isprintable())[:SAID_CHARS_MAX]


def _report(observation: Observation) -> tuple[DeviceId, str]:
    return observation.device, observation.frame_id.partition(".")[0]


def stored_lost(kept: str) -> list[str]:
    """What `say` kept of the lost devices; nothing of what cannot be read."""
    try:
        return msgspec.json.decode(kept or "[]", type=list[str])
    except msgspec.DecodeError:
        return []

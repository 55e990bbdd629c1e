"""The alarm path of the edge: what a Session found becomes acts, rows of the spool and, after the commit, an answer.

    results -> pipeline (where was it) -> rules act -> spool append ... commit ... answer

Rules
- Actuators are driven before anything is stored. A report that was accepted before drives nothing: it is a device that
  missed our answer, and a siren that a person has silenced stays silent.
- `done` is called when everything found is durable, or with the error when it is not: then nobody is answered.
- A device that is not enrolled is named once an hour in the log, with what an installer needs; its bytes make no row
  but one Event of the gateway.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from msgspec import Struct

from devices.observation import DeviceId, Event, Observation, Rejected, Result
from edge import pipeline
from edge.actuators import Actuators
from edge.config import Rule
from edge.contacts import Contacts
from edge.pipeline import Places, View
from edge.rules import acts
from edge.spool import Done, Spool

STRANGERS_MAX = 1_000
STRANGER_SAID_EVERY = timedelta(hours=1)

log = structlog.get_logger()


class Counts(Struct):
    """Since the start of this agent."""

    observations: int = 0
    rejected: int = 0


class Intake:
    def __init__(  # noqa: PLR0917 - the parts that meet here
        self,
        gateway: DeviceId,
        view: View,
        rules: Sequence[Rule],
        actuators: Actuators,
        spool: Spool,
        contacts: Contacts,
        now: Callable[[], datetime],
    ) -> None:
        self.counts = Counts()
        self._gateway = gateway
        self._view = view
        self._rules = rules
        self._actuators = actuators
        self._spool = spool
        self._contacts = contacts
        self._now = now
        self._strangers: dict[DeviceId, datetime] = {}

    @property
    def behind(self) -> bool:
        """Whether links should stop reading for a while."""
        return self._spool.behind

    def use_places(self, places: Places) -> None:
        """Zones have been drawn anew."""
        self._view = View(
            places=places,
            installed=self._view.installed,
            components=self._view.components,
            last_seen=self._view.last_seen,
        )

    def take(self, link: str, results: Sequence[Result], done: Done) -> None:
        found: list[Observation] = []
        for result in results:
            if isinstance(result, Observation):
                found.append(result)
            else:
                self.counts.rejected += 1
                found += self._stranger(link, result)
        if found:
            found = self._worked(found)
        self.counts.observations += len(found)
        self._spool.append(found, done)

    def say(self, observations: list[Observation]) -> None:
        """Observations of the edge itself; nobody waits for them."""
        _, found = pipeline.run(self._view, observations)
        self._spool.append(found, _nobody_waits)

    def _worked(self, found: list[Observation]) -> list[Observation]:
        self._view, found = pipeline.run(self._view, found)
        due = acts(self._rules, found)
        if due and (fresh := [observation for observation in found if not self._spool.holds(observation)]):
            for act in acts(self._rules, fresh):
                self._actuators.drive(act)
        back = [again for observation in found if (again := self._contacts.heard(observation)) is not None]
        return [*found, *back] if back else found

    def _stranger(self, link: str, result: Rejected) -> list[Observation]:
        """A notice about a device that knocked without being enrolled."""
        if result.device is None or result.reason != "not enrolled":
            return []
        now = self._now()
        said_at = self._strangers.get(result.device)
        if said_at is not None and now - said_at < STRANGER_SAID_EVERY:
            return []
        if len(self._strangers) >= STRANGERS_MAX:
            del self._strangers[next(iter(self._strangers))]
        self._strangers[result.device] = now
        log.warning("device_not_enrolled", link=link, device=result.device)
        attributes = {"device": result.device, "link": link, "frame": result.frame.hex()}
        body = Event(kind="unknown_device", attributes=attributes)
        return [Observation(device=self._gateway, observed_at=now, received_at=now, body=body)]


def _nobody_waits(error: object) -> None:
    """The spool has said what is wrong with the disk."""

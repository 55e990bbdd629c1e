"""Who is enrolled here: the devices of the edge's own file, and those that the hub enrolled (its document "devices").

Rules
- The file wins: what it says of a device holds, whatever the hub says of the same one.
- A device of the hub that cannot be enrolled is refused alone, with a reason; the others are. The reasons are told in
  the gateway's state, at most REFUSED_SAID_MAX of them.
- File and hub together have at most DEVICES_MAX.
- Links and commands ask the containers that are given out here, which change in place: a device is accepted, or no
  longer, from its next frame on.
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict

from devices.family import AnyFamily
from edge.config import DEVICES_MAX, Config, Device, silence_s_max

DEVICES = "devices"
REFUSED_SAID_MAX = 100
OFFERED_DEVICES_MAX = DEVICES_MAX

# in_file: it is enrolled all the same, by the file. settings_lack: followed by ": " and what they do not have.
REASONS = ("in_file", "family_unknown", "link_unknown", "unreadable", "too_many", "settings_lack")
IN_FILE, FAMILY_UNKNOWN, LINK_UNKNOWN, UNREADABLE, TOO_MANY, SETTINGS_LACK = REASONS


class HubDevice(Struct, frozen=True, kw_only=True):
    """A device as the hub enrols it. `link`: where it knocked, "" for any of its family."""

    id: str
    link: str = ""
    name: str = ""
    zone: str = ""
    floor: str = ""
    longitude: float | None = None
    latitude: float | None = None


class DevicesBody(Struct, frozen=True):
    devices: Annotated[tuple[HubDevice, ...], Meta(max_length=OFFERED_DEVICES_MAX)]


class Told(Struct, frozen=True):
    """What a document comes to: whom it enrols, the links on which they will be heard, and who is refused, and why."""

    devices: dict[str, Device]
    links: dict[str, str]
    refused: dict[str, str]


class Change(Struct, frozen=True):
    """`fresh`: enrolled now, and not before; `gone`: enrolled no more."""

    fresh: Collection[str]
    gone: Collection[str]


class Enrolment:
    """The container of all enrolled device ids; `of_family` has the native ids of one family."""

    def __init__(self, config: Config, families: Mapping[str, AnyFamily], settings: Mapping[str, Struct]) -> None:
        """`settings`: of each link."""
        self._families = families
        self._own = {device.id: device for device in config.devices}
        self._links: dict[str, dict[str, Struct]] = {}  # family -> link -> its settings
        for link in config.links:
            self._links.setdefault(link.family, {})[link.name] = settings[link.name]
        self._heard_on: dict[str, str] = {}
        self._native: dict[str, set[str]] = {}
        self.devices = dict(self._own)
        self.refused: dict[str, str] = {}
        for id_ in self._own:
            self._enrol(id_)

    def __contains__(self, id_: object) -> bool:
        return id_ in self.devices

    def of_family(self, family: str) -> set[str]:
        """Native ids, live."""
        return self._native.setdefault(family, set())

    def silence_s_max(self, id_: str) -> float:
        return silence_s_max(self.devices[id_], self._families[id_.partition(":")[0]])

    def link_of(self, id_: str) -> str:
        """The link on which a device will be heard, as far as that is known; else ""."""
        links = self._links.get(id_.partition(":")[0], {})
        return self._heard_on.get(id_) or (next(iter(links)) if len(links) == 1 else "")

    def read(self, body: Any) -> Told:
        """The document, checked against the file; may run in another thread. Raises ValidationError."""
        told = Told({}, {}, {})
        for offered in msgspec.convert(body, DevicesBody).devices:
            reason = self._refusal(offered, len(told.devices))
            if reason:
                told.refused[offered.id] = reason
                continue
            keys = {key: value for key, value in asdict(offered).items() if key in Device.__struct_fields__}
            try:
                told.devices[offered.id] = msgspec.convert(keys, Device)
            except msgspec.ValidationError:
                told.refused[offered.id] = UNREADABLE
                continue
            if offered.link:
                told.links[offered.id] = offered.link
        return told

    def use(self, told: Told) -> Change:
        """It is in force from now on."""
        before = self.devices
        self.devices = self._own | told.devices
        self._heard_on, self.refused = told.links, told.refused
        change = Change(self.devices.keys() - before.keys(), before.keys() - self.devices.keys())
        for id_ in change.gone:
            family, _, native_id = id_.partition(":")
            self._native[family].discard(native_id)
        for id_ in change.fresh:
            self._enrol(id_)
        return change

    def refused_said(self) -> dict[str, str]:
        """As the gateway's state has them: those of the file last, since they do no harm."""
        order = sorted(self.refused.items(), key=lambda one: (one[1] == IN_FILE, one[0]))
        return dict(order[:REFUSED_SAID_MAX])

    def _enrol(self, id_: str) -> None:
        family, _, native_id = id_.partition(":")
        self.of_family(family).add(native_id)

    def _refusal(self, offered: HubDevice, taken: int) -> str:
        """ "" when nothing is against it."""
        family, _, native_id = offered.id.partition(":")
        links = self._links.get(family, {})
        if offered.id in self._own:
            return IN_FILE
        if family not in self._families:
            return FAMILY_UNKNOWN
        if not links or (offered.link and offered.link not in links):
            return LINK_UNKNOWN
        if len(self._own) + taken >= DEVICES_MAX:
            return TOO_MANY
        lacks = self._families[family].lacks
        heard_on = [links[offered.link]] if offered.link else list(links.values())
        missing = [lacks(settings, native_id) for settings in heard_on] if lacks else [""]
        return "" if "" in missing else f"{SETTINGS_LACK}: {missing[0]}"

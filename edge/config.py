"""Configuration of one edge: a TOML file parsed once, strictly, into frozen values that are passed by argument.

Rules
- An unknown key, a wrong type, a value out of range or a name that points nowhere stops the start. Each mistake is a
  line: file, key, what is wrong or allowed. What contradicts something else is told when every value is well formed.
- Secrets stand in files of their own, named here by path (a text inside `settings`: "file:PATH"). Relative paths are
  relative to the working directory.
- A family's settings are checked by the family's own struct. A family that has a `time_zone` setting gets the edge's,
  unless its link names one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from devices.dictionary import ALARMS, P4
from devices.envelope import NAME_WORDS
from devices.family import AnyFamily
from devices.mistakes import mistakes
from edge import link_config
from edge.link_config import Link, Name, OptionalPort, Port

DEVICE_WORDS = (
    "family:native-id, such as gbt26875:889, the native id of 1 to 64 printable ASCII characters without space"
)
DeviceName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}:[!-~]{1,64}$", description=DEVICE_WORDS)]
Text = Annotated[str, Meta(max_length=200)]
Zone = Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9_-]{0,63})?$", description=NAME_WORDS)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]

HUB_KEY = "hub_public_key_file"
ACTUATORS_MAX = 64
RULES_MAX = 1_000
DEVICES_MAX = 20_000
RULE_AGE_S_MAX = 100 * 86_400  # beyond what any device keeps
SECRET_CHARS_MAX = 4_096
FROM_FILE = "file:"  # what stands before the path, where a family's setting is in a file of its own
SILENCE_S_MAX = 30 * 86_400


class ConfigError(Exception):
    """A configuration that cannot be used; the text is what to show, a line for each mistake."""


class Broker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Port = 1883
    username: str = ""
    password_file: str = ""
    tls: bool = False


class SpoolLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rows_max`: when more wait, the oldest routine rows are dropped and declared. `file_mb_max` (0 = none): a file of
    that size is treated like a full disk, devices are not answered. The last tenth is left to alarms and events."""

    rows_max: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 1_000_000
    file_mb_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


class Component(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a device, by its native address, with a zone of its own."""

    address: Annotated[str, Meta(min_length=1, max_length=200)]
    zone: Name


class Device(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Enrolment of a device and where it is. `silence_s`: silent for longer is `lost_contact`; its family's limit,
    unless it is given."""

    id: DeviceName
    name: Text = ""
    zone: Zone = ""
    longitude: Longitude | None = None
    latitude: Latitude | None = None
    silence_s: Annotated[float, Meta(ge=1, le=SILENCE_S_MAX)] | None = None
    components: tuple[Component, ...] = ()


class GpioFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="gpio_file"):
    """Writes "1" or "0" to `path`: a GPIO value file of the kernel, or any file."""

    name: Name
    path: Annotated[str, Meta(min_length=1)]


class ModbusCoil(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="modbus_coil"):
    """Writes one coil of a Modbus TCP unit."""

    name: Name
    host: str
    port: Port = 502
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    coil: Annotated[int, Meta(ge=0, le=65535)]
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 2.0


Actuator = GpioFile | ModbusCoil


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raised alarms of a group, at least as urgent as `priority_max`, in one of the zones (none named: anywhere)."""

    group: str
    priority_max: Annotated[int, Meta(ge=0, le=P4)]
    zones: tuple[Name, ...] = ()


class Actuate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    actuator: Name
    state: Literal["on", "off"]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`age_s_max`: what a device kept, says so, and sends later than this does not act any more (edge.rules)."""

    name: Name
    when: When
    actuate: Actuate
    age_s_max: Annotated[float, Meta(ge=0, le=RULE_AGE_S_MAX)] = 300.0


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Name
    gateway: Name
    time_zone: str = "Asia/Shanghai"
    state_dir: Annotated[str, Meta(min_length=1)]
    hub_public_key_file: str = ""
    metrics_port: OptionalPort = 0
    broker: Broker = Broker()
    spool: SpoolLimits = SpoolLimits()
    links: Annotated[tuple[Link, ...], Meta(max_length=64)] = ()
    devices: Annotated[tuple[Device, ...], Meta(max_length=DEVICES_MAX)] = ()
    actuators: Annotated[tuple[Actuator, ...], Meta(max_length=ACTUATORS_MAX)] = ()
    rules: Annotated[tuple[Rule, ...], Meta(max_length=RULES_MAX)] = ()

    @property
    def state(self) -> Path:
        return Path(self.state_dir)


def load(path: Path, families: Mapping[str, AnyFamily]) -> Config:
    """The configuration in `path`; raises ConfigError."""
    try:
        given = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    _refuse(path, mistakes(given, Config))
    config = msgspec.convert(given, Config)
    _refuse(path, _cross_checks(config, families))
    return config


def _refuse(path: Path, wrong: Iterable[str]) -> None:
    """Raises ConfigError when anything is wrong."""
    if lines := [f"{path}: {one}" for one in wrong]:
        raise ConfigError("\n".join(lines))


def silence_s_max(device: Device, family: AnyFamily) -> float:
    return family.silence_s_max if device.silence_s is None else device.silence_s


def patient(family: AnyFamily, devices: Iterable[Device]) -> AnyFamily:
    """The family with the longest silence that is allowed to one of its devices: its links give up nobody sooner."""
    own = (one for one in devices if one.id.partition(":")[0] == family.name)
    longest = max((silence_s_max(one, family) for one in own), default=family.silence_s_max)
    return replace(family, silence_s_max=max(longest, family.silence_s_max))


def family_settings(link: Link, family: AnyFamily, time_zone: str) -> Struct:
    """The link's settings as its family's struct, its secrets read; raises ConfigError."""
    given = _given_settings(link, family, time_zone)
    for wrong in _settings_mistakes(given, family, f"link {link.name}: settings"):
        raise ConfigError(wrong)
    return msgspec.convert(_filled(given, "settings"), family.settings)


def _settings_mistakes(given: dict[str, Any], family: AnyFamily, where: str) -> Iterator[str]:
    """What was read from files is not to be told: a line stands as it is only if it is the same without it."""
    try:
        filled = _filled(given, where)
    except ConfigError as error:
        yield str(error)
        return
    harmless = set(mistakes(given, family.settings, where))
    files = ", ".join(_secret_files(given))
    for line in mistakes(filled, family.settings, where):
        told = line if line in harmless else f"{line.partition(': ')[0]}: does not fit"
        yield f"{told}; read from {files}" if files else told


def _filled(given: Any, where: str) -> Any:
    """`given` with each text "file:PATH", at any depth, replaced by the line in that file; raises ConfigError."""
    match given:
        case dict():
            return {key: _filled(value, f"{where}.{key}") for key, value in given.items()}
        case list():
            return [_filled(value, f"{where}[{index}]") for index, value in enumerate(given)]
        case str() if given.startswith(FROM_FILE):
            try:
                return read_secret(Path(given.removeprefix(FROM_FILE)))
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from error
    return given


def _secret_files(given: Any) -> Iterator[str]:
    match given:
        case dict() | list():
            for value in given.values() if isinstance(given, dict) else given:
                yield from _secret_files(value)
        case str() if given.startswith(FROM_FILE):
            yield given.removeprefix(FROM_FILE)


def _given_settings(link: Link, family: AnyFamily, time_zone: str) -> dict[str, Any]:
    given = dict(link.settings)
    if "time_zone" in family.settings.__struct_fields__:
        given.setdefault("time_zone", time_zone)
    return given


def read_secret(path: Path) -> str:
    """The text of a one-line secret file; raises ConfigError."""
    try:
        with path.open() as file:
            text = file.read(SECRET_CHARS_MAX + 1).strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError:  # UnicodeDecodeError would show what is in it; a path may hold a NUL
        raise ConfigError(f"{path}: is not text") from None
    if not text:
        raise ConfigError(f"{path}: is empty")
    if len(text) > SECRET_CHARS_MAX or len(text.splitlines()) > 1:
        raise ConfigError(f"{path}: expected one line of up to {SECRET_CHARS_MAX} characters")
    return text


def _cross_checks(config: Config, families: Mapping[str, AnyFamily]) -> Iterator[str]:
    """What single values cannot show, the most telling first."""
    no_zone = list(_time_zone(config))
    yield from no_zone
    yield from _files(config)
    yield from _links(config, families, "UTC" if no_zone else config.time_zone)
    yield from _twice("links", "name", [link.name for link in config.links])
    yield from _twice("links", "port", list(link_config.listening(config.links)))
    yield from _twice("devices", "id", [device.id for device in config.devices])
    yield from _twice("actuators", "name", [actuator.name for actuator in config.actuators])
    yield from _twice("rules", "name", [rule.name for rule in config.rules])
    for index, device in enumerate(config.devices):
        yield from _device(f"devices[{index}]", device, families)
    for index, rule in enumerate(config.rules):
        yield from _rule(f"rules[{index}]", rule, config)


def _time_zone(config: Config) -> Iterator[str]:
    try:
        ZoneInfo(config.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"time_zone: no time zone {config.time_zone!r}; expected a name such as Asia/Shanghai"


def _files(config: Config) -> Iterator[str]:
    for key, file in (
        (HUB_KEY, config.hub_public_key_file),
        ("broker.password_file", config.broker.password_file),
    ):
        if file and not Path(file).is_file():
            origin = "; copy hub.pub from the hub's state_dir, its first start makes it" if key == HUB_KEY else ""
            yield f"{key}: no file {file}{origin}"


def _links(config: Config, families: Mapping[str, AnyFamily], time_zone: str) -> Iterator[str]:
    for index, link in enumerate(config.links):
        family = families.get(link.family)
        if family is None:
            yield f"links[{index}].family: unknown family {link.family!r}; expected {_listed(families)}"
            continue
        kind = link_config.kind_of(link)
        if kind not in family.links:
            yield f"links[{index}].kind: {link.family} does not run on {kind}; expected {_listed(family.links)}"
        for key, wrong in link_config.wrong_files(link):
            yield f"links[{index}].{key}: {wrong}"
        yield from _settings_mistakes(_given_settings(link, family, time_zone), family, f"links[{index}].settings")


def _device(where: str, device: Device, families: Mapping[str, AnyFamily]) -> Iterator[str]:
    family = device.id.partition(":")[0]
    if family not in families:
        yield f"{where}.id: unknown family {family!r}; expected {_listed(families)}"
    if (device.longitude is None) != (device.latitude is None):
        yield f"{where}: longitude and latitude belong together"
    yield from _twice(f"{where}.components", "address", [component.address for component in device.components])


def _rule(where: str, rule: Rule, config: Config) -> Iterator[str]:
    groups = sorted({kind.group for kind in ALARMS.values()})
    if rule.when.group not in groups:
        yield f"{where}.when.group: unknown group {rule.when.group!r}; expected {_listed(groups)}"
    names = [actuator.name for actuator in config.actuators]
    if rule.actuate.actuator not in names:
        yield f"{where}.actuate.actuator: unknown actuator {rule.actuate.actuator!r}; expected {_listed(names)}"


def _twice(section: str, key: str, values: Iterable[object]) -> Iterator[str]:
    for value, times in Counter(values).items():
        if times > 1:
            shown = ":".join(map(str, value)) if isinstance(value, tuple) else value
            yield f"{section}: {key} {shown} is given {times} times"


def _listed(names: Iterable[str]) -> str:
    return " or ".join(names) or "one to be configured"

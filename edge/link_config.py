"""What an installer may say of a link, a kind each. A kind that the edge does not have cannot be written down."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from devices.datum import Datum
from devices.envelope import NAME_PATTERN, NAME_WORDS

Port = Annotated[int, Meta(ge=1, le=65535)]
OptionalPort = Annotated[int, Meta(ge=0, le=65535)]  # 0: any free one for a link, off for metrics
Name = Annotated[str, Meta(pattern=NAME_PATTERN, description=NAME_WORDS)]
Connections = Annotated[int, Meta(ge=1, le=20_000)]
Address = Annotated[
    str, Meta(pattern=r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$", description="an address such as A4:C1:38:CF:01:56")
]
Host = Annotated[str, Meta(min_length=1, max_length=253)]


class _Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all kinds have. `settings` are the family's own. `datum`: what positions are sent in."""

    name: Name
    family: str
    settings: dict[str, Any] = {}
    datum: Datum = "wgs84"


class TcpServer(_Link, frozen=True, kw_only=True, tag="tcp_server"):
    """Devices dial in."""

    host: str = "127.0.0.1"
    port: OptionalPort
    connections_max: Connections = 1_000


class TcpClient(_Link, frozen=True, kw_only=True, tag="tcp_client"):
    """The edge dials. `tls`: with the system's authorities, or `tls_ca_file`. `tls_certificate_file`, `tls_key_file`:
    our own, where the other side wants them. `tls_server_name`: the name in its certificate, when that is not `host`.
    """

    host: Host
    port: Port
    tls: bool = False
    tls_ca_file: str = ""
    tls_certificate_file: str = ""
    tls_key_file: str = ""
    tls_server_name: Annotated[str, Meta(max_length=253)] = ""


class UdpServer(_Link, frozen=True, kw_only=True, tag="udp_server"):
    """Datagrams; `connections_max` peers are known at once. `group`: an IPv4 multicast group to join."""

    host: str = "127.0.0.1"
    port: OptionalPort
    group: Annotated[
        str,
        Meta(
            pattern=r"^((22[4-9]|23\d)\.\d{1,3}\.\d{1,3}\.\d{1,3})?$",
            description="an IPv4 multicast group, 224.0.0.0 to 239.255.255.255",
        ),
    ] = ""
    connections_max: Connections = 1_000


class HttpServer(_Link, frozen=True, kw_only=True, tag="http_server"):
    """Devices and servers push. `allow`: addresses or networks that may ("10.1.0.0/16"; none named: any).
    `path_secret_file`: only requests below /SECRET count. `hmac_key_file`: only bodies whose SHA-256 HMAC stands in
    `hmac_header`."""

    host: str = "127.0.0.1"
    port: OptionalPort
    connections_max: Connections = 200
    allow: tuple[str, ...] = ()
    path_secret_file: str = ""
    hmac_header: Annotated[str, Meta(pattern="^[a-z0-9-]{1,64}$", description="a lower-case header name")] = (
        "x-signature"
    )
    hmac_key_file: str = ""
    tls_certificate_file: str = ""
    tls_key_file: str = ""


class Serial(_Link, frozen=True, kw_only=True, tag="serial"):
    """A serial line. `path`: the device file, for example /dev/ttyUSB0."""

    path: Annotated[str, Meta(min_length=1)]
    baud: Annotated[int, Meta(ge=50, le=4_000_000)] = 9_600
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1


class Mqtt(_Link, frozen=True, kw_only=True, tag="mqtt"):
    """A broker that devices or their servers publish to. `topics`: what to listen to, MQTT wildcards allowed.
    `client_id`: "" makes it from the gateway's and the link's name; it must be this link's alone, because the broker
    keeps what comes while the edge is away under it."""

    host: Host = "127.0.0.1"
    port: Port = 1883
    topics: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]
    username: str = ""
    password_file: str = ""
    tls: bool = False
    tls_ca_file: str = ""
    client_id: Annotated[str, Meta(max_length=64)] = ""


class HttpClient(_Link, frozen=True, kw_only=True, tag="http_client"):
    """The edge asks a device again and again. `url`: scheme, host and port; the family knows the paths. `period_s`: the
    pause when the family has nothing to ask at once."""

    url: Annotated[
        str, Meta(pattern=r"^https?://[^/?#\s]+$", description="http:// or https://, host and port, no path")
    ]
    username: str = ""
    password_file: str = ""
    tls_ca_file: str = ""
    period_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 10.0


class HttpStream(_Link, frozen=True, kw_only=True, tag="http_stream"):
    """The edge asks once and the answer never ends. `url`: the whole of it, with path and query."""

    url: Annotated[
        str, Meta(pattern=r"^https?://[^\s]+$", description="an address that begins with http:// or https://")
    ]
    username: str = ""
    password_file: str = ""
    tls_ca_file: str = ""


class Modbus(_Link, frozen=True, kw_only=True, tag="modbus"):
    """Registers that the edge reads every `period_s`, over TCP (`host`) or a serial line (`path`). Which ones, the
    family's settings say. `framing`: "rtu" for serial servers that pass a line's frames through TCP as they are."""

    host: str = ""
    port: Port = 502
    framing: Literal["tcp", "rtu"] = "tcp"
    path: str = ""
    baud: Annotated[int, Meta(ge=50, le=4_000_000)] = 9_600
    parity: Literal["none", "even", "odd"] = "none"
    period_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 5.0
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 2.0


class Datagrams(_Link, frozen=True, kw_only=True, tag="datagrams"):
    """Datagrams of which the port says what they are: all `ports` are one session's."""

    host: str = "127.0.0.1"
    ports: Annotated[tuple[Port, ...], Meta(min_length=1, max_length=16)]


class Folder(_Link, frozen=True, kw_only=True, tag="folder"):
    """Files that somebody drops: each is a message, read and then moved to `done` or `bad` below."""

    path: Annotated[str, Meta(min_length=1)]
    pattern: Annotated[str, Meta(min_length=1, max_length=64)] = "*"
    period_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 1.0


class Ble(_Link, frozen=True, kw_only=True, tag="ble"):
    """A Bluetooth adapter of this machine, through BlueZ: everything that is advertised is heard. `connect`: addresses
    of bands and sensors that are connected to and asked (GATT), as many at once as the adapter can; what wants to be
    paired is paired first, with bluetoothctl. `timeout_s`: of making a connection."""

    adapter: Annotated[str, Meta(pattern=r"^hci\d{1,3}$", description="an adapter such as hci0")] = "hci0"
    connect: Annotated[tuple[Address, ...], Meta(max_length=16)] = ()
    timeout_s: Annotated[float, Meta(ge=1, le=60)] = 20.0


OfBytes = TcpServer | TcpClient | UdpServer | Serial | HttpStream
OfMessages = HttpServer | HttpClient | Mqtt | Folder | Modbus | Datagrams | Ble
Link = OfBytes | OfMessages


def kind_of(link: Link) -> str:
    """The word that stands in the file."""
    return str(link.__struct_config__.tag)


def listening(links: Iterable[Link]) -> Iterator[tuple[str, str, int]]:
    """(transport, host, port) of each link that listens on a port it names."""
    for link in links:
        if isinstance(link, Datagrams):
            yield from (("udp", link.host, port) for port in link.ports)
        elif isinstance(link, TcpServer | UdpServer | HttpServer) and link.port:
            yield "udp" if isinstance(link, UdpServer) else "tcp", link.host, link.port


def wrong_files(link: Link) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of files and networks that the link names."""
    for key in link.__struct_fields__:
        value = getattr(link, key)
        if key.endswith("_file") and value and not Path(value).is_file():
            yield key, f"no file {value}"
    if isinstance(link, Modbus) and bool(link.host) == bool(link.path):
        yield "host", "either host (TCP) or path (serial line)"
    if isinstance(link, HttpServer):
        for address in link.allow:
            try:
                ip_network(address)
            except ValueError as error:
                yield "allow", str(error)
    if isinstance(link, TcpClient) and not link.tls and (link.tls_ca_file or link.tls_certificate_file):
        yield "tls", "false, though there are certificates: it would be in the clear"
    if isinstance(link, HttpServer | TcpClient) and bool(link.tls_certificate_file) != bool(link.tls_key_file):
        yield "tls_key_file", "certificate and key belong together"


def connections_max(link: Link) -> int:
    """How many descriptors it may hold at once, a UDP port being one."""
    if isinstance(link, TcpServer | HttpServer):
        return link.connections_max
    return len(link.ports) if isinstance(link, Datagrams) else 1

"""From what an installer wrote of a link to the link itself. What only some links need is loaded where one is asked
for: an HTTP server costs 17 MB."""

import ssl
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from devices.family import AnyFamily, Family, MessageFamily
from edge import link_config
from edge.config import Broker, ConfigError, read_secret
from edge.datums import in_wgs84
from edge.flow import Link, LinkError, Wiring
from edge.links import TcpServer
from edge.links_datagrams import DatagramLink
from edge.links_dialled import DialledLink, over_tcp
from edge.links_folder import FolderLink
from edge.links_mqtt import MqttLink
from edge.links_udp import UdpServer
from edge.turns import Turns

if TYPE_CHECKING:
    from edge.modbus_units import Bus


def build(config: link_config.Link, wiring: Wiring, family: AnyFamily, turns: Turns, gateway: str) -> Link:
    """A link that is not open yet; raises LinkError when its files cannot be used."""
    wiring = msgspec.structs.replace(wiring, intake=in_wgs84(wiring.intake, config.datum))
    try:
        if isinstance(family, Family):
            return _of_bytes(config, wiring, family, turns)
        return _of_messages(config, wiring, family, gateway)
    except (ConfigError, OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise LinkError(f"link {config.name}: {error}") from error


def _of_bytes(config: link_config.Link, wiring: Wiring, family: Family, turns: Turns) -> Link:
    match config:
        case link_config.TcpServer(host=host, port=port, connections_max=most):
            return TcpServer(wiring, family, turns, host=host, port=port, connections_max=most)
        case link_config.TcpClient(host=host, port=port):
            return DialledLink(wiring, family, turns, over_tcp(host, port, *_dialled_tls(config)), port)
        case link_config.Serial():
            from edge.links_serial import over_serial  # noqa: PLC0415 - see above

            return DialledLink(wiring, family, turns, over_serial(config))
        case link_config.UdpServer(host=host, port=port, group=group, connections_max=most):
            return UdpServer(wiring, family, host=host, port=port, group=group, peers_max=most)
        case link_config.HttpStream(url=url):
            from edge.links_http_client import HttpStream, Login  # noqa: PLC0415 - see above

            login = Login(config.username, _secret(config.password_file))
            return HttpStream(wiring, family, url=url, login=login, tls=_client_tls(config.tls_ca_file))
    raise LinkError(f"link {config.name}: {family.name} does not run on {link_config.kind_of(config)}")


def _of_messages(config: link_config.Link, wiring: Wiring, family: MessageFamily, gateway: str) -> Link:
    match config:
        case link_config.HttpServer():
            return _http_server(config, wiring, family)
        case link_config.Mqtt():
            return _mqtt(config, wiring, family, gateway)
        case link_config.Folder(path=path, pattern=pattern, period_s=period_s):
            return FolderLink(wiring, family, path=Path(path), pattern=pattern, period_s=period_s)
        case link_config.Datagrams(host=host, ports=ports):
            return DatagramLink(wiring, family, host=host, ports=ports)
        case link_config.Modbus(period_s=period_s):
            from edge.links_modbus import ModbusLink  # noqa: PLC0415 - see above

            return ModbusLink(wiring, family, _bus(config), period_s)
        case link_config.Ble(adapter=adapter, connect=connect, timeout_s=timeout_s):
            from edge.links_ble import BleLink  # noqa: PLC0415 - see above

            return BleLink(wiring, family, adapter=adapter, connect=connect, timeout_s=timeout_s)
        case link_config.HttpClient(url=url, period_s=period_s):
            from edge.links_http_client import HttpClient, Login  # noqa: PLC0415 - see above

            login, tls = Login(config.username, _secret(config.password_file)), _client_tls(config.tls_ca_file)
            return HttpClient(wiring, family, url=url, period_s=period_s, login=login, tls=tls)
    raise LinkError(f"link {config.name}: {family.name} does not run on {link_config.kind_of(config)}")


def _http_server(config: link_config.HttpServer, wiring: Wiring, family: MessageFamily) -> Link:
    from edge.links_http import Guard, HttpServer  # noqa: PLC0415 - see above

    guard = Guard(
        allow=tuple(ip_network(address) for address in config.allow),
        secret=_secret(config.path_secret_file),
        hmac_header=config.hmac_header,
        hmac_key=_secret(config.hmac_key_file),
    )
    tls = None
    if config.tls_certificate_file:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(config.tls_certificate_file, config.tls_key_file)
    return HttpServer(
        wiring, family, guard, host=config.host, port=config.port, connections_max=config.connections_max, tls=tls
    )


def _mqtt(config: link_config.Mqtt, wiring: Wiring, family: MessageFamily, gateway: str) -> Link:
    return MqttLink(
        wiring,
        family,
        Broker(host=config.host, port=config.port, username=config.username),
        _secret(config.password_file),
        identifier=config.client_id or f"gridward-{gateway}-{config.name}",
        topics=config.topics,
        tls=_client_tls(config.tls_ca_file) if config.tls else None,
    )


def _bus(config: link_config.Modbus) -> "Bus":
    from edge.modbus_units import Bus  # noqa: PLC0415 - see above

    if config.path:
        return Bus.over_serial(config.path, config.baud, config.parity, config.timeout_s)
    return Bus.over_tcp(config.host, config.port, config.timeout_s, rtu=config.framing == "rtu")


def _dialled_tls(config: link_config.TcpClient) -> tuple[ssl.SSLContext | None, str]:
    """None for a connection in the clear; and the name that the other side's certificate has to bear."""
    if not config.tls:
        return None, ""
    tls = _client_tls(config.tls_ca_file)
    if config.tls_certificate_file:
        tls.load_cert_chain(config.tls_certificate_file, config.tls_key_file)
    return tls, config.tls_server_name


def _client_tls(authority_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority_file or None)


def _secret(file: str) -> str:
    return read_secret(Path(file)) if file else ""

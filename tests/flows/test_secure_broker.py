"""A broker as docs/install.md describes it (TLS, an account for each, rights), with a real hub and a real edge."""

import asyncio
import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest
from msgspec import Struct
from msgspec.structs import replace
from structlog.testing import capture_logs

from devices.envelope import topic
from devices.observation import GatewayId
from gridward.broker import HOST, free_port, listens, mosquitto
from gridward.processes import start, wait_until
from hub.config import Broker, Config
from hub.server import Hub
from tests.authority import DAY, Authority
from tests.conftest import BrokerAddress
from tests.edge import site
from tests.edge.process import AgentProcess
from tests.edge.site import Device
from tests.hub.edge_line import now, running, until, write_config

INSTALL = Path(__file__).parents[2] / "docs" / "install.md"
ACCOUNTS = ("hub", "gw-1", "gw-2")
GW_1, GW_2 = GatewayId("gw-1"), GatewayId("gw-2")

pytestmark = pytest.mark.skipif(not mosquitto(), reason="mosquitto is not installed")


class SecureBroker(Struct):
    """`secret` holds the password of every account."""

    port: int
    secret: Path

    def of(self, account: str) -> dict[str, object]:
        """[broker] of a file."""
        who = {"username": account, "password_file": str(self.secret)}
        return {"host": HOST, "port": self.port, "tls": True, **who}

    def client(self, account: str) -> aiomqtt.Client:
        return aiomqtt.Client(
            HOST,
            self.port,
            username=account,
            password=self.secret.read_text(),
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=ssl.create_default_context(),
        )


@pytest.fixture
def secure_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecureBroker]:
    """Its certificate is trusted on this machine as long as the test runs."""
    home = tmp_path / "broker"
    home.mkdir()
    authority = Authority(home)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    server = authority.sign(now() - DAY, now() + DAY)
    secret, passwords, rights = home / "secret", home / "passwords", home / "acl"
    secret.write_text("correct horse")
    passwords.touch()
    for account in ACCOUNTS:
        said = ["mosquitto_passwd", "-b", str(passwords), account, secret.read_text()]
        subprocess.run(said, check=True, capture_output=True)
    rights.write_text(printed("user hub\n"))
    broker = SecureBroker(free_port(), secret)
    user = "user root\n" if os.geteuid() == 0 else ""
    settings = printed("listener 8883\n").replace("listener 8883", f"listener {broker.port} {HOST}")
    for shown, ours in (("server.pem", server), ("server.key", server), ("passwords", passwords), ("acl", rights)):
        assert f"/etc/mosquitto/{shown}\n" in settings
        settings = settings.replace(f"/etc/mosquitto/{shown}\n", f"{ours}\n")
    (home / "conf").write_text(f"{user}{settings}log_dest stdout\n")
    child = start("mosquitto", [mosquitto() or "", "-c", str(home / "conf")], home / "log")
    wait_until(child, lambda: listens(HOST, broker.port), 15)
    yield broker
    child.stop()


def printed(begin: str) -> str:
    """The example of docs/install.md that begins so."""
    found = re.search(rf"```\n({begin}.*?)```", INSTALL.read_text(), re.DOTALL)
    assert found, f"docs/install.md shows {begin}"
    return found[1]


def hub_config(home: Path, dsn: str, broker: SecureBroker) -> Config:
    plain = write_config(home, dsn, BrokerAddress(HOST, broker.port))
    return replace(plain, broker=Broker(**broker.of("hub")))


async def test_an_alarm_goes_up_and_a_command_down_over_tls_with_accounts(
    postgres: str, secure_broker: SecureBroker, tmp_path: Path
) -> None:
    async with running(hub_config(tmp_path, postgres, secure_broker)) as hub:
        keys = {"hub_public_key_file": str(tmp_path / "hub" / "hub.pub")}
        edge = site.write(tmp_path, gateway="gw-1", broker=secure_broker.of("gw-1"), **keys)
        async with AgentProcess(edge) as agent, Device(agent.port("gbt26875")) as panel:
            panel.send(site.smoke())
            await until(lambda: hub.rows("SELECT FROM incidents WHERE kind = 'smoke'"), "an incident")
            await until(lambda: (tmp_path / "siren").read_text() == "1", "the siren")
            await until(lambda: hub.rows("SELECT FROM gateways WHERE online"), "the gateway's state")

            async def silenced() -> bool:
                """In its first seconds of all a gateway refuses: it cannot know what acted before."""
                done = await hub.command("gw-1", "actuator.set", "siren", "off", "guard-7")
                assert done["result"] in ("refused", "confirmed"), done
                return bool(done["result"] == "confirmed")

            await until(silenced, "a command that is carried out")
            assert (tmp_path / "siren").read_text() == "0"


async def test_hub_and_edge_refuse_a_broker_of_another_authority(
    postgres: str, secure_broker: SecureBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(other).file))
    hub, stop = Hub(hub_config(tmp_path, postgres, secure_broker)), asyncio.Event()
    await hub.open()
    with capture_logs() as logs:
        working = asyncio.create_task(hub.run(stop))
        await until(lambda: [line for line in logs if line["event"] == "broker_lost"], "the hub notices")
        async with AgentProcess(site.write(tmp_path, gateway="gw-1", broker=secure_broker.of("gw-1"))) as agent:
            await until(lambda: agent.said("uplink_lost"), "the edge notices")
            assert not hub.subscribed and hub.health()["broker"] == {"ok": False}
            assert not agent.said("uplink_recovered")
    stop.set()
    await working
    await hub.close()
    [lost] = [line for line in logs if line["event"] == "broker_lost"]
    for error in (lost["error"], agent.said("uplink_lost")[0]["error"]):
        assert "certificate verify failed" in error


async def test_a_gateway_speaks_and_listens_only_for_itself(secure_broker: SecureBroker) -> None:
    """Its own message comes after the others on one connection: what came before it was let through."""
    async with asyncio.timeout(30), secure_broker.client("hub") as hub, secure_broker.client("gw-2") as thief:
        await hub.subscribe("gridward/v1/#", qos=1)
        await thief.subscribe("gridward/v1/#", qos=1)
        for tail in (("up", "urgent"), ("state",), ("cmd_result",)):
            for gateway in (GW_1, GW_2):
                await thief.publish(topic(gateway, *tail), b"from the thief", qos=1)
            assert (await anext(hub.messages)).topic.value == topic(GW_2, *tail)
        await thief.publish(topic(GW_2, "down", "zones"), b"a zone of the thief's own", qos=1)
        for tail in (("committed", "urgent"), ("down", "zones"), ("cmd",)):
            for gateway in (GW_1, GW_2):
                await hub.publish(topic(gateway, *tail), b"from the hub", qos=1)
                heard = await anext(hub.messages)
                assert (heard.topic.value, heard.payload) == (topic(gateway, *tail), b"from the hub")
            assert (await anext(thief.messages)).topic.value == topic(GW_2, *tail)

"""One agent with links of every kind, as an installer would write them: the same smoke reaches the spool by each."""

import os
import pty
import socket
import tty
from pathlib import Path

import aiomqtt
import httpx
import pytest

from devices.observation import Alarm
from tests.conftest import BrokerAddress
from tests.devices import frames
from tests.edge import site
from tests.edge.bluez import bluez
from tests.edge.hub_side import HubSide
from tests.edge.process import AgentProcess
from tests.edge.site import until

DEV_EUI = "0102030405060708"
SMOKE = (
    '{"deduplicationId":"%s","time":"2026-11-25T00:00:00Z","deviceInfo":{"devEui":"' + DEV_EUI + '",'
    '"deviceProfileName":"milesight/gs524n","deviceName":"lobby"},"fPort":85,"data":"IhFaIS8j"}'
)


async def test_links_of_every_kind_in_one_agent(tmp_path: Path, broker: BrokerAddress) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    secret, site_name = tmp_path / "secret", "agent-links"
    secret.write_text("s3cret\n")
    lora = {"family": "lorawan", "settings": {"profiles": {"milesight/gs524n": "milesight/gs524n"}}}
    links = [
        {"name": "tcp", "kind": "tcp_server", "family": "sia_dc09", "port": 0},
        {"name": "udp", "kind": "udp_server", "family": "sia_dc09", "port": 0},
        {"name": "serial", "kind": "serial", "family": "nmea", "path": os.ttyname(theirs)},
        {"name": "push", "kind": "http_server", "port": 0, "path_secret_file": str(secret), **lora},
        {
            "name": "lora",
            "kind": "mqtt",
            "port": broker.port,
            "topics": [f"application/{site_name}/device/+/event/+"],
            **lora,
        },
    ]
    devices = [{"id": f"nmea:{frames.GOOD['nmea'][0]}"}, {"id": "sia_dc09:1234"}, {"id": f"lorawan:{DEV_EUI}"}]
    config = site.write(
        tmp_path, gateway=site_name, broker={"port": broker.port}, links=links, devices=devices, rules=[]
    )
    async with HubSide(*broker, site_name) as hub, AgentProcess(config) as agent:

        def raised(device: str) -> int:
            found = [row for row in hub.rows["urgent"] if row.device == device and isinstance(row.body, Alarm)]
            return len([row for row in found if row.body.raised])  # type: ignore[union-attr]

        with socket.create_connection(("127.0.0.1", agent.port("tcp"))) as panel:
            panel.sendall(frames.sia_dc09(frames.FIRE_TEXT))
            await until(lambda: raised("sia_dc09:1234") == 1, "by TCP")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as panel:
            panel.sendto(frames.sia_dc09(frames.FIRE_TEXT.replace("0008", "0009")), ("127.0.0.1", agent.port("udp")))
            await until(lambda: raised("sia_dc09:1234") == 2, "by UDP")
        os.write(ours, frames.GOOD["nmea"][1])
        await until(lambda: [row for row in hub.all_rows if row.device.startswith("nmea:")], "by a serial line")
        async with httpx.AsyncClient(trust_env=False) as client:
            address = f"http://127.0.0.1:{agent.port('push')}"
            assert (await client.post(f"{address}/guess/x?event=up", content=SMOKE % "a")).status_code == 404
            assert (await client.post(f"{address}/s3cret/x?event=up", content=SMOKE % "a")).status_code == 200
        await until(lambda: raised(f"lorawan:{DEV_EUI}") == 1, "by HTTP")
        async with aiomqtt.Client(*broker, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.publish(f"application/{site_name}/device/{DEV_EUI}/event/up", SMOKE % "b", qos=1)
        await until(lambda: raised(f"lorawan:{DEV_EUI}") == 2, "by MQTT")
        assert await agent.stop() == 0
    os.close(ours)
    os.close(theirs)


async def test_a_bluetooth_adapter_in_an_agent(
    tmp_path: Path, broker: BrokerAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = {"name": "air", "kind": "ble", "family": "ble"}
    config = site.write(
        tmp_path,
        gateway="agent-ble",
        broker={"port": broker.port},
        links=[link],
        devices=[{"id": "ble:A4:C1:38:8D:18:B2"}],
        rules=[],
    )
    async with (
        bluez(tmp_path, monkeypatch) as there,
        HubSide(*broker, "agent-ble") as hub,
        AgentProcess(config) as agent,
    ):
        sensor = there.device("A4:C1:38:8D:18:B2")
        await until(lambda: "StartDiscovery" in there.asked, "it scans")
        there.advertise(sensor, service={"fcd2": bytes.fromhex("402901")})
        await until(lambda: [row for row in hub.rows["urgent"] if row.device.startswith("ble:")], "heard")
        assert await agent.stop() == 0

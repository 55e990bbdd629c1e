"""The servers that the demo and the tests start: they work, they keep to themselves, they never outlive us."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import aiomqtt
import psycopg
import pytest

from gridward.broker import Broker, free_port, listens, mosquitto
from gridward.postgres import Postgres
from gridward.processes import ProcessError, start

PROGRAMS = [
    pytest.param("mosquitto", marks=pytest.mark.skipif(not mosquitto(), reason="mosquitto is not installed")),
    "rumqttd",
]
V5 = aiomqtt.ProtocolVersion.V5


def client(running: Broker, name: str, will: aiomqtt.Will | None = None) -> aiomqtt.Client:
    return aiomqtt.Client(running.host, running.port, identifier=name, protocol=V5, will=will)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_broker_keeps_retained_delivers_qos_1_and_sends_the_will(tmp_path: Path, program: str) -> None:
    running = Broker(tmp_path, program=program)
    running.start()
    will = aiomqtt.Will("site/state", b"offline", qos=1, retain=True)
    async with asyncio.timeout(20), client(running, "reader") as reader:
        doomed = client(running, "doomed", will)
        await doomed.__aenter__()
        await doomed.publish("site/state", b"online", qos=1, retain=True)
        await reader.subscribe("site/#", qos=1)
        assert (await anext(reader.messages)).payload == b"online"
        await doomed.publish("site/up", b"x" * 1_000_000, qos=1)
        message = await anext(reader.messages)
        assert isinstance(message.payload, bytes)
        assert len(message.payload) == 1_000_000
        doomed._client._sock_close()  # the connection breaks without a goodbye
        assert (await anext(reader.messages)).payload == b"offline"
        async with client(running, "late") as late:
            await late.subscribe("site/state", qos=1)
            assert (await anext(late.messages)).payload == b"offline"
    running.stop()
    assert not listens(running.host, running.port)


def test_broker_says_when_its_port_is_taken(tmp_path: Path) -> None:
    first = Broker(tmp_path / "first")
    first.start()
    with pytest.raises(ProcessError, match=f"port {first.port} on 127.0.0.1 is in use"):
        Broker(tmp_path / "second", port=first.port).start()
    first.stop()


def test_a_test_may_have_an_empty_database(empty_postgres: str) -> None:
    with psycopg.connect(empty_postgres) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert tables == (0,)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_psql_of_the_same_package_connects(postgres_server: Postgres, postgres: str) -> None:
    said = subprocess.run(
        [postgres_server.psql, postgres, "-Atc", "SELECT 'psql'"], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "psql"


def test_postgres_keeps_its_rows_over_kill_9_and_restart(server_home: Path) -> None:
    server = Postgres(server_home / "killed", durable=False)
    server.start()
    dsn = server.ensure_database("kept")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    assert server.child is not None
    os.kill(server.child.pid, signal.SIGKILL)
    assert server.child.ended_within(10)
    server.start()
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    server.stop()


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    parent_code = (
        "import sys, pathlib; from gridward.processes import start\n"
        "child = start('sleeper', [sys.executable, '-c', 'import signal; signal.pause()'],"
        " pathlib.Path(sys.argv[1]))\n"
        "print(child.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", parent_code, tmp_path / "log"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    child = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    assert select.select([child], [], [], 10)[0], "the child outlived its parent"
    os.close(child)
    parent.stdin.close()
    parent.stdout.close()


def test_a_missing_program_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"cannot start ghost \(/nowhere/ghost\): No such file"):
        start("ghost", ["/nowhere/ghost"], tmp_path / "log")


def test_free_ports_are_free() -> None:
    assert not listens("127.0.0.1", free_port())

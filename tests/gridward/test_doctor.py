"""`gridward doctor` against real parts, well and broken: what it finds and what it says to do."""

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridward import doctor
from gridward.broker import HOST, free_port, listens, mosquitto
from gridward.broker_check import BrokerConfig, certificate, examine_broker, login
from gridward.demo import BROKER_PORT, default_scenario
from gridward.finding import Finding
from gridward.postgres import connect
from gridward.processes import start, wait_until
from tests.authority import DAY, Authority
from tests.conftest import BrokerAddress

needs_mosquitto = pytest.mark.skipif(not mosquitto(), reason="mosquitto is not installed")


# --- certificates --------------------------------------------------------------------------------


@contextmanager
def tls_server(file: Path) -> Iterator[int]:
    """Shakes hands with everyone who comes; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server((HOST, 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(plain, server_side=True).close()
                except OSError:
                    plain.close()

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize(
    ("days", "address", "verdict", "found"),
    [
        ((-1, 200), HOST, "ok", "trusted, good until "),
        ((-1, 5.5), HOST, "warning", "ends in 5 days, on "),
        ((-9, -2), HOST, "failure", "ended on "),
        ((2, 9), HOST, "failure", "begins on "),
        ((-1, 200), "192.0.2.7", "failure", "is for 192.0.2.7, not for 127.0.0.1"),
    ],
)
def test_a_certificate_is_judged_and_the_reason_said(  # noqa: PLR0917 - a table
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: tuple[float, float], address: str, verdict: str, found: str
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    begins, ends = (datetime.now(UTC) + number * DAY for number in days)
    with tls_server(authority.sign(begins, ends, address)) as port:
        finding = certificate(HOST, port)
    assert finding.verdict == verdict
    assert finding.found.startswith(found)
    assert bool(finding.advice) == (verdict != "ok")


def test_a_certificate_of_an_unknown_authority_is_not_trusted(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with tls_server(Authority(tmp_path).sign(now - DAY, now + 200 * DAY)) as port:
        finding = certificate(HOST, port)
    assert (finding.verdict, finding.found) == ("failure", "not trusted: issued by CN=Test authority")
    assert "update-ca-certificates" in finding.advice


def test_a_broker_without_tls_is_said_to_have_none(broker: BrokerAddress) -> None:
    finding = certificate(broker.host, broker.port)
    assert finding.verdict == "failure"
    assert finding.found.startswith(f"no TLS on {broker.host}:{broker.port}: ")
    assert "TLS port" in finding.advice


# --- the broker ----------------------------------------------------------------------------------


def verdicts(config: BrokerConfig) -> dict[str, str]:
    return {finding.name: finding.verdict for finding in examine_broker(config)}


def test_a_broker_that_is_there_and_one_that_is_not(broker: BrokerAddress) -> None:
    assert verdicts(BrokerConfig(broker.host, broker.port)) == {"broker connection": "ok", "broker log-in": "ok"}
    port = free_port()
    [gone] = examine_broker(BrokerConfig(HOST, port))
    assert gone.found == f"127.0.0.1:{port} does not answer: Connection refused"
    assert verdicts(BrokerConfig(broker.host, broker.port, tls=True)) == {
        "broker connection": "ok",
        "broker certificate": "failure",
    }


def test_a_password_in_clear_text_and_a_missing_one_are_said(broker: BrokerAddress, tmp_path: Path) -> None:
    config = BrokerConfig(broker.host, broker.port, "gw-1", str(tmp_path / "none"))
    assert verdicts(config) == {"broker connection": "ok", "broker password": "warning", "broker log-in": "failure"}
    assert login(config).found == f"{tmp_path}/none: No such file or directory"


@needs_mosquitto
def test_accounts_and_tls_of_a_real_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    now = datetime.now(UTC)
    server, port = authority.sign(now - DAY, now + 100 * DAY), free_port()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "gw-1", "right"], check=True, capture_output=True)
    passwords.chmod(0o644)
    user = "user root\n" if os.geteuid() == 0 else ""
    conf = f"{user}listener {port} {HOST}\nallow_anonymous false\npassword_file {passwords}\n"
    (tmp_path / "conf").write_text(f"{conf}certfile {server}\nkeyfile {server}\n")
    running = start("mosquitto", [mosquitto() or "", "-c", str(tmp_path / "conf")], tmp_path / "log")
    try:
        wait_until(running, lambda: listens(HOST, port), 10)
        secret = tmp_path / "secret"
        said: list[list[Finding]] = []
        for password in ("right", "wrong"):
            secret.write_text(f"{password}\n")
            said.append(list(examine_broker(BrokerConfig(HOST, port, "gw-1", str(secret), tls=True))))
    finally:
        running.stop()
    good, bad = said
    assert [finding.verdict for finding in good] == ["ok"] * 3
    assert [finding.name for finding in good] == ["broker connection", "broker certificate", "broker log-in"]
    assert [finding.verdict for finding in bad] == ["ok", "ok", "failure"]
    assert bad[-1].found.startswith("refused as gw-1: ")
    assert "wrong" not in bad[-1].found
    assert "password_file" in bad[-1].advice


# --- files, keys, database -----------------------------------------------------------------------


def pair(folder: Path) -> Ed25519PrivateKey:
    """hub.key and hub.pub as the hub makes them."""
    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "hub.key").touch(mode=0o600)
    (folder / "hub.key").write_bytes(plain)
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "hub.pub").write_bytes(public)
    return key


def test_the_hubs_key_is_its_own_and_nobody_elses(tmp_path: Path) -> None:
    assert "first start" in doctor.private_key(tmp_path / "hub.key").found
    pair(tmp_path)
    key = tmp_path / "hub.key"
    assert doctor.private_key(key).verdict == "ok"
    key.chmod(0o644)
    assert doctor.private_key(key).advice == f"chmod 600 {key}"
    key.chmod(0o600)
    other = tmp_path / "other"
    other.mkdir()
    pair(other)
    (other / "hub.pub").rename(tmp_path / "hub.pub")
    assert "does not belong to" in doctor.private_key(key).found
    key.write_text("no key")
    assert doctor.private_key(key).verdict == "failure"


def test_an_edge_must_hold_a_key_that_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "hub.pub"
    assert doctor.public_key(file).found == f"{file} is not there"
    file.write_text("no key")
    assert doctor.public_key(file).verdict == "failure"
    pair(tmp_path)
    assert doctor.public_key(file).verdict == "ok"


def test_an_edge_with_the_key_of_another_hub_is_found(tmp_path: Path) -> None:
    hub_state, copied = tmp_path / "hub", tmp_path / "copied"
    for folder in (hub_state, copied):
        folder.mkdir()
        pair(folder)
    edge, hub = tmp_path / "edge.toml", tmp_path / "hub.toml"
    edge.write_text(f'hub_public_key_file = "{copied}/hub.pub"\n')
    hub.write_text(f'state_dir = "{hub_state}"\n')
    [finding] = doctor.same_keys(edge, hub)
    assert finding.found == f"{copied}/hub.pub is not the key of this hub"
    (copied / "hub.pub").write_bytes((hub_state / "hub.pub").read_bytes())
    assert list(doctor.same_keys(edge, hub)) == []


def test_a_database_that_is_there_and_one_that_is_not(postgres: str, tmp_path: Path) -> None:
    finding = doctor.database(doctor._Database(dsn=postgres))
    assert finding.verdict == "ok"
    assert "PostgreSQL 18" in finding.found
    gone = doctor.database(doctor._Database(dsn=f"postgresql:///gridward?host={tmp_path}"))
    assert gone.verdict == "failure"
    assert "\n" not in gone.found
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0")
    for name in ("dsn", "binary"):
        file = doctor.database(doctor._Database(dsn_file=str(tmp_path / name)))
        assert file.verdict == "failure" and name in file.found
    nul = doctor.database(doctor._Database(dsn="a\0b"))
    assert nul.verdict == "failure"


def test_rows_that_were_set_aside_are_counted(postgres: str, empty_postgres: str) -> None:
    named = doctor._Database(dsn=postgres)
    [none] = doctor.set_aside(named)
    assert (none.verdict, none.found) == ("ok", "none")
    with connect(postgres) as connection:
        for seq in range(3):
            connection.execute(
                "INSERT INTO refused_rows (gateway, epoch, lane, seq, observation, error, received_at)"
                " VALUES ('gw-1', 'e', 'urgent', %s, '{}', 'why', '2026-11-24T08:00:00Z')",
                (seq,),
            )
    [some] = doctor.set_aside(named)
    assert some.verdict == "warning"
    assert some.found == "3 rows in refused_rows, 3 of them of the urgent lane, the newest of 2026-11-24 08:00 UTC"
    assert "docs/operate.md" in some.advice
    assert list(doctor.set_aside(doctor._Database(dsn=empty_postgres))) == []  # the schema comes with the first start


def test_files_that_are_not_text_are_findings(tmp_path: Path) -> None:
    config, secret = tmp_path / "hub.toml", tmp_path / "secret"
    config.write_bytes(b'state_dir = "\xff"\n')
    secret.write_bytes(b"\xff")
    assert list(doctor.configured("hub", config)) == []
    config.write_text('state_dir = "/a\\u0000b"\n[database]\ndsn = ""\n')
    assert list(doctor.configured("hub", config)) == []
    assert login(BrokerConfig(password_file=str(secret))).found == f"{secret}: is not text"
    assert [finding.verdict for finding in examine_broker(BrokerConfig(host="a..b"))] == ["failure"]


def test_ports_of_a_config_are_tried(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        finding = doctor.configured_port("edge", "panels", "0.0.0.0", port)  # noqa: S104 - not bound
    assert (finding.verdict, finding.name, finding.found) == ("warning", f"port {port}", "in use (panels)")
    assert f":{port}" in finding.advice
    assert doctor.configured_port("edge", "panels", HOST, free_port()).verdict == "ok"


def test_a_disk_is_looked_at_where_the_state_will_be(tmp_path: Path) -> None:
    assert doctor.disk(tmp_path / "not" / "made").found.endswith(f"free at {tmp_path}")


def test_everything_that_a_hub_file_names_is_tried(postgres: str, broker: BrokerAddress, tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(
        f'state_dir = "{tmp_path}"\nlisten_port = {free_port()}\n[database]\ndsn = "{postgres}"\n'
        f'[broker]\nhost = "{broker.host}"\nport = {broker.port}\n'
    )
    found = {finding.name.partition(" 1")[0]: finding.verdict for finding in doctor.configured("hub", config)}
    names = {name if not name.startswith("port") else "port" for name in found}
    assert names == {
        "hub disk",
        "port",
        "broker connection",
        "broker log-in",
        "database connection",
        "rows set aside",
        "hub key",
    }
    assert found["database connection"] == found["broker log-in"] == found["hub key"] == "ok"


def test_what_to_do_is_shown_whole(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(f'state_dir = "{tmp_path}"\n[database]\ndsn = "postgresql:///gridward?host={tmp_path}"\n')
    said = subprocess.run(
        [sys.executable, "-m", "gridward", "doctor", "--hub", str(config)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert said.returncode == 1
    words = " ".join(said.stdout.split())
    assert "check [database] dsn" in words
    assert str(tmp_path / "hub.key") in words, "a path is not cut"


def test_doctor_says_what_the_programs_say_of_their_files(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text("site = 3\n")
    for columns in ("80", "120"):
        said = subprocess.run(
            [sys.executable, "-m", "gridward", "doctor", "--edge", str(config)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": columns},
        )
        assert said.returncode == 1
        assert "edge config" in said.stdout
        assert "Traceback" not in said.stdout + said.stderr
        wide = [line for line in said.stdout.splitlines() if len(line) > int(columns)]
        assert all(len(line.split()) == 1 for line in wide), "only a word that is wider than the window"


def test_a_file_that_is_not_there_is_said_to_be_so() -> None:
    finding = doctor.config_file("edge", Path("/nope.toml"))
    assert finding.found == "/nope.toml: no such file" and "path" in finding.advice


def test_without_files_the_ports_of_the_demo_are_looked_at() -> None:
    scenario = msgspec.toml.decode(default_scenario().read_bytes())
    assert {device["port"] for device in scenario["devices"]} | {8460, BROKER_PORT} == set(doctor.PORTS)


def test_doctor_changes_nothing(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "gridward", "doctor"], capture_output=True, check=False, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []

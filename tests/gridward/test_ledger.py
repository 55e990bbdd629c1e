"""The auditor finds what it is for: lost and doubled facts, and nothing else."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg

from gridward.ledger import Accepted, facts_of, read, reconcile
from gridward.toml_text import toml_text

AT = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
SMOKE = Accepted("gbt26875:889", AT, "smoke", "1-3-0x00000012")
BEAT = Accepted("watch:97", AT, "telemetry", "", {"heart_rate_bpm": 71, "steps": 12})
PLACE = Accepted("watch:97", AT, "position", "", {"longitude": 120.4838001, "latitude": 30.7436})

TABLES = """
CREATE TABLE events (device text, class text, kind text, raised boolean, component text, observed_at timestamptz);
CREATE TABLE positions (device text, observed_at timestamptz, longitude float8, latitude float8);
CREATE TABLE telemetry (device text, metric text, component text DEFAULT '', observed_at timestamptz, value float8);
"""
STORE_SMOKE = "INSERT INTO events VALUES ('gbt26875:889', 'alarm', 'smoke', true, '1-3-0x00000012', %s)"


def keep(path: Path, *reports: Accepted, tail: bytes = b"") -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(report) + b"\n" for report in reports) + tail)
    return path


def test_an_exact_match_is_clean(empty_postgres: str, tmp_path: Path) -> None:
    with psycopg.connect(empty_postgres, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute(STORE_SMOKE, (AT,))
        connection.execute("INSERT INTO positions VALUES ('watch:97', %s, 120.4838, 30.7436)", (AT,))
        connection.execute("INSERT INTO telemetry VALUES ('watch:97', 'heart_rate_bpm', '', %s, 71)", (AT,))
        connection.execute("INSERT INTO telemetry VALUES ('watch:97', 'steps', '', %s, 12)", (AT,))
        connection.execute("INSERT INTO telemetry VALUES ('gateway:gw-1', 'spool_rows', '', %s, 0)", (AT,))
    balance = reconcile(keep(tmp_path / "ledger", SMOKE, BEAT, PLACE), empty_postgres)
    assert (balance.accepted, balance.lost, balance.twice, balance.unconfirmed) == (3, [], [], 1)


def test_a_lost_and_a_doubled_fact_are_found(empty_postgres: str, tmp_path: Path) -> None:
    with psycopg.connect(empty_postgres, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute(STORE_SMOKE, (AT,))
        connection.execute(STORE_SMOKE, (AT,))
        connection.execute("INSERT INTO telemetry VALUES ('watch:97', 'steps', '', %s, 12)", (AT,))
    balance = reconcile(keep(tmp_path / "ledger", SMOKE, BEAT), empty_postgres)
    assert balance.lost == [f"value watch:97 heart_rate_bpm {AT.isoformat()} 71.000"]
    assert balance.twice == [f"alarm gbt26875:889 smoke 1-3-0x00000012 {AT.isoformat()} raised"]


def test_the_same_report_accepted_twice_is_owed_twice(empty_postgres: str, tmp_path: Path) -> None:
    with psycopg.connect(empty_postgres, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute(STORE_SMOKE, (AT,))
    assert len(reconcile(keep(tmp_path / "ledger", SMOKE, SMOKE), empty_postgres).lost) == 1


def test_a_half_written_last_line_is_left_alone(tmp_path: Path) -> None:
    assert read(keep(tmp_path / "ledger", SMOKE, tail=b'{"device":"wat')) == [SMOKE]
    assert read(tmp_path / "none") == []


def test_a_clear_is_another_fact_than_its_alarm() -> None:
    cleared = Accepted(SMOKE.device, AT, "smoke", SMOKE.component, {"raised": False})
    assert list(facts_of(cleared)) != list(facts_of(SMOKE))


def test_toml_text_is_read_back_as_it_was() -> None:
    document = {
        "name": 'a "quoted"\nline\x7f 乌镇 \\',
        "share": 0.25,
        "on": True,
        "places": [{"id": "a b", "shape": {"type": "Polygon", "coordinates": [[1.5, -2.0], [3, 4]]}}, {"id": ""}],
        "table": {"empty": [], "a.b": 1},
    }
    assert msgspec.toml.decode(toml_text(document, "two\nlines")) == document

"""`gridward evidence` as a person meets it: a pack from a real database, checked, spoilt, and the whole log."""

import subprocess
import sys
from pathlib import Path

import pytest

from hub.signing import hub_key
from tests.hub.api_world import World, world


def gridward(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gridward", "evidence", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def config(folder: Path, dsn: str) -> Path:
    file, secret = folder / "hub.toml", folder / "dsn"
    secret.write_text(f"{dsn}\n")
    file.write_text(f'state_dir = "{folder}/state"\n[database]\ndsn_file = "{secret}"\n')
    hub_key(folder / "state")
    return file


@pytest.fixture
async def hub(postgres: str):
    async with world(postgres) as found:
        yield found


async def test_a_pack_is_written_and_checked(tmp_path: Path, hub: World) -> None:
    number, pack, public = await hub.smoke(), tmp_path / "pack.zip", tmp_path / "state" / "hub.pub"
    file = config(tmp_path, hub.dsn)
    written = gridward(number, "--config", file, "--out", pack)
    assert written.returncode == 0, written.stderr
    right = gridward("--verify", pack, "--key", public)
    assert right.returncode == 0 and f"right. Incident {number}," in right.stdout
    assert "1 steps, 1 of them sealed" in right.stdout
    assert "but whose?" in gridward("--verify", pack).stdout
    pack.write_bytes(pack.read_bytes().replace(b"smoke", b"steam", 1))
    wrong = gridward("--verify", pack, "--key", public)
    assert wrong.returncode == 1 and "WRONG: " in wrong.stdout


async def test_the_log_is_audited(tmp_path: Path, hub: World) -> None:
    number, file = await hub.smoke(), config(tmp_path, hub.dsn)
    right = gridward("--audit", "--config", file)
    assert right.returncode == 0 and "is right" in right.stdout, right.stderr
    async with hub.store.transaction() as tx:
        await tx.script("SET LOCAL session_replication_role = replica; UPDATE incident_steps SET actor = 'me'")
    wrong = gridward("--audit", "--config", file)
    assert wrong.returncode == 1 and f"WRONG: incident {number}: step 1" in wrong.stdout


async def test_what_was_asked_wrongly_is_one_line(tmp_path: Path, hub: World) -> None:
    file = config(tmp_path, hub.dsn)
    for words in (
        ("17",),
        ("--config", file),
        ("999999999999", "--config", file),
        ("17", "--config", tmp_path / "none.toml"),
        ("--verify", tmp_path / "none.zip"),
        ("--verify", file, "--key", file),
    ):
        said = gridward(*words)
        assert said.returncode == 2, (words, said.stdout, said.stderr)
        assert len(said.stderr.strip().splitlines()) == 1, said.stderr


async def test_no_second_key_is_made_and_an_open_one_is_said(tmp_path: Path, hub: World) -> None:
    number, file, key = await hub.smoke(), config(tmp_path, hub.dsn), tmp_path / "state" / "hub.key"
    key.chmod(0o644)
    said = gridward(number, "--config", file)
    assert said.returncode == 2 and "chmod 600" in said.stderr and "Traceback" not in said.stderr
    key.unlink()
    for words in ((number,), ("--audit",)):
        said = gridward(*words, "--config", file)
        assert said.returncode == 2 and "hub.key: there is none" in said.stderr
    assert not key.exists()

"""Models are what their manifests say, or nothing runs them; wheels give up only what is asked for."""

import json
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge.inference.manifest import Manifest, ModelFile, manifests
from edge.inference.registry import DISABLED, Disabled, ModelUnusable, Registry
from gridward.model_fetch import CannotFetch, take_file, take_out
from tests.edge.inference.test_onnx_file import OUTSIDE, RELU, model
from tests.gridward.test_cli import gridward

GOOD = model((1, RELU))
BAD = model((1, RELU), (5, OUTSIDE))
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def manifest_of(content: bytes, name: str = "net.onnx") -> Manifest:
    file = ModelFile(name=name, bytes=len(content), sha256=sha256(content).hexdigest(), member=f"pkg/{name}")
    sface = manifests()["sface"]
    return replace(sface, name="net", files=(file,))


def held(folder: Path, content: bytes) -> tuple[Registry, Manifest]:
    made = manifest_of(content)
    path = Registry(folder).path(made, made.files[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return Registry(folder), made


def test_manifests_are_whole_and_name_licence_and_source() -> None:
    assert set(manifests()) == {"yunet", "sface", "plate-detector", "text-recogniser"}
    for each in manifests().values():
        assert each.licence and each.source and each.inputs and each.outputs
        assert each.wheel is not None and all(file.member for file in each.files)
    assert (
        manifests()["yunet"].files[0].sha256.startswith("8f2383e4") and manifests()["sface"].thresholds["cosine"] >= 0.5
    )


def test_right_bytes_are_given_out(tmp_path: Path) -> None:
    registry, made = held(tmp_path, GOOD)
    assert registry.standing(made) == ("ready", "")
    assert registry.open(made) == {"net.onnx": GOOD}


def test_one_changed_byte_is_another_file(tmp_path: Path) -> None:
    registry, made = held(tmp_path, GOOD)
    path = registry.path(made, made.files[0])
    path.write_bytes(GOOD[:-1] + bytes([GOOD[-1] ^ 1]))
    with pytest.raises(ModelUnusable, match="another file"):
        registry.open(made)
    path.write_bytes(GOOD + b"\0")
    assert registry.standing(made)[0] == "wrong"
    with pytest.raises(ModelUnusable, match="expected"):
        registry.open(made)
    path.unlink()
    assert registry.standing(made)[0] == "missing"
    with pytest.raises(ModelUnusable, match="No such file"):
        registry.open(made)


def test_right_hash_does_not_help_a_file_that_points_outside(tmp_path: Path) -> None:
    registry, made = held(tmp_path, BAD)
    with pytest.raises(ModelUnusable, match="another file"):
        registry.open(made)


def test_disabled_stays_so_until_it_is_enabled(tmp_path: Path) -> None:
    registry, made = held(tmp_path, GOOD)
    registry.disable("net", Disabled("operator", "drifts", NOW))
    again = Registry(tmp_path)
    assert again.standing(made) == ("disabled", "by operator: drifts")
    with pytest.raises(ModelUnusable, match="disabled by operator: drifts"):
        again.open(made)
    again.enable("net")
    assert registry.open(made)


def test_list_of_what_is_disabled_that_cannot_be_read_stops_everything(tmp_path: Path) -> None:
    registry, made = held(tmp_path, GOOD)
    (tmp_path / DISABLED).write_text("{")
    with pytest.raises(ModelUnusable):
        registry.open(made)


def wheel(folder: Path, **members: bytes) -> Path:
    path = folder / "some.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return path


def test_only_the_member_of_the_manifest_is_unpacked(tmp_path: Path) -> None:
    made = manifest_of(GOOD, "net")
    registry = Registry(tmp_path / "models")
    take_out(registry, made, wheel(tmp_path, pkg__net=GOOD, pkg__photograph=b"\xff\xd8", **{"..__..__evil": b"x"}))
    assert registry.open(made) == {"net": GOOD}
    found = [path for path in (tmp_path / "models").rglob("*") if path.is_file()]
    assert found == [registry.path(made, made.files[0])] and not (tmp_path.parent / "evil").exists()


def test_wheel_that_is_not_as_expected_gives_nothing(tmp_path: Path) -> None:
    made = manifest_of(GOOD, "net")
    registry = Registry(tmp_path / "models")
    for number, path in enumerate(
        (
            wheel(tmp_path, pkg__other=GOOD).rename(tmp_path / "a"),
            wheel(tmp_path, pkg__net=GOOD + b"\0" * 1_000_000).rename(tmp_path / "b"),
            wheel(tmp_path, pkg__net=GOOD[:-1] + b"\xff").rename(tmp_path / "c"),
        )
    ):
        with pytest.raises(CannotFetch):
            take_out(registry, made, path)
        assert registry.standing(made)[0] == "missing", number
    (tmp_path / "torn").write_bytes(b"PK")
    with pytest.raises(CannotFetch):
        take_out(registry, made, tmp_path / "torn")


def test_own_file_is_taken_when_it_is_the_one(tmp_path: Path) -> None:
    made = manifest_of(GOOD)
    registry = Registry(tmp_path / "models")
    (tmp_path / "mine.onnx").write_bytes(GOOD)
    take_file(registry, made, tmp_path / "mine.onnx")
    assert registry.open(made)
    (tmp_path / "mine.onnx").write_bytes(BAD)
    with pytest.raises(CannotFetch, match="bytes"):
        take_file(registry, made, tmp_path / "mine.onnx")


def test_commands_say_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    folder = str(tmp_path / "models")
    lines = [json.loads(line) for line in gridward("models", "list", "--folder", folder, "--json").stdout.splitlines()]
    assert {line["standing"] for line in lines} == {"missing"}
    assert {line["why"] for line in lines} == {f"gridward models fetch {line['name']}" for line in lines}
    verified = gridward("models", "verify", "yunet", "--folder", folder)
    assert verified.returncode == 1 and "No such file" in verified.stdout
    assert gridward("models", "fetch", "nothing", "--folder", folder).returncode == 2
    assert "say why" in gridward("models", "disable", "yunet", "--folder", folder).stderr
    assert gridward("models", "disable", "yunet", "--reason", "drifts", "--folder", folder).returncode == 0
    shown = gridward("models", "list", "--folder", folder)
    assert "drifts" in shown.stdout and "disabled" in shown.stdout
    assert "may run again" in gridward("models", "disable", "yunet", "--undo", "--folder", folder).stdout
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"x")
    refused = gridward("models", "fetch", "yunet", "--from", str(wrong), "--folder", folder)
    assert refused.returncode == 1 and "1 bytes" in refused.stderr

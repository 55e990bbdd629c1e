"""What an ONNX file may not hold is found in its bytes: weights elsewhere, operators that are code, deep nesting."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.protobuf import write_field
from edge.inference import onnx_file
from edge.inference.onnx_file import NotAModel, check
from tests.vectors import SHARED

MODELS = SHARED.parent / "data" / "models"


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Protocol Buffers, empty messages too."""
    return b"".join(write_field(number, value) or bytes([number << 3 | 2, 0]) for number, value in fields)


WEIGHTS = message((1, 3), (2, 1), (9, b"\0" * 12))
OUTSIDE = message((13, message((1, "location"), (2, "../../etc/passwd"))), (14, 1))
RELU = message((1, "x"), (2, "y"), (4, "Relu"))


def model(*graph: tuple[int, bytes], opset: str = "", functions: bytes = b"") -> bytes:
    fields: list[tuple[int, int | str | bytes]] = [(1, 8), (7, message(*graph)), (8, message((1, opset), (2, 17)))]
    return message(*fields, *([(25, functions)] if functions else []))


def inner(*graph: tuple[int, bytes]) -> bytes:
    """A node with a graph of its own."""
    return message((4, "If"), (5, message((1, "then_branch"), (6, message(*graph)))))


def test_plain_model_is_fine() -> None:
    check(model((1, RELU), (5, WEIGHTS), (1, inner((1, RELU), (5, WEIGHTS)))))
    check(model((1, RELU), opset="ai.onnx.ml"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (model((1, RELU), (5, OUTSIDE)), "another file"),
        (model((1, RELU), (5, message((14, 1)))), "another file"),
        (model((15, message((1, OUTSIDE)))), "another file"),
        (model((1, message((4, "Constant"), (5, message((1, "value"), (5, OUTSIDE)))))), "another file"),
        (model((1, message((4, "X"), (5, message((10, OUTSIDE)))))), "another file"),
        (model((1, inner((5, OUTSIDE)))), "another file"),
        (model((1, inner((1, inner((1, inner((5, OUTSIDE)))))))), "another file"),
        (model((1, message((4, "Evil"), (7, "com.evil")))), "com.evil"),
        (model((1, inner((1, message((4, "Evil"), (7, "com.microsoft")))))), "com.microsoft"),
        (model((1, RELU), opset="com.evil"), "com.evil"),
        (model((1, RELU), functions=message((1, "f"))), "functions"),
        (b"", "expected one graph"),
        (model((1, RELU)) * 2, "expected one graph"),
        (b"MZ\x90\0" * 10, "torn"),
        (model((1, RELU), (5, WEIGHTS))[:-3], "torn"),
    ],
)
def test_what_must_not_be_in_it_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(NotAModel, match=words):
        check(data)


def test_graphs_in_graphs_and_parts_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = RELU
    for _ in range(20):
        deep = inner((1, deep))
    with pytest.raises(NotAModel, match="deep"):
        check(model((1, deep)))
    monkeypatch.setattr(onnx_file, "FIELDS_MAX", 100)
    with pytest.raises(NotAModel, match="more parts"):
        check(model(*[(1, RELU)] * 100))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_model_or_refused(data: bytes) -> None:
    try:
        check(data)
    except NotAModel:
        return


@pytest.mark.parametrize("name", ["yolox_nano_416.onnx", "minifas_v2se_128.onnx", "minifas_v2se_128_int8.onnx"])
def test_real_models_are_read(name: str) -> None:
    path: Path = MODELS / name
    if not path.exists():
        pytest.skip(f"no {path.name} beside this checkout")
    check(path.read_bytes())

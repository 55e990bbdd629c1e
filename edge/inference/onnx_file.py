"""What an ONNX file may not hold, read from its bytes before any runtime opens it. Pure.

    ModelProto   7 graph · 8 opset_import · 25 functions          (github.com/onnx/onnx, onnx.proto3)
    GraphProto   1 node · 5 initializer · 15 sparse_initializer
    NodeProto    5 attribute · 7 domain          AttributeProto  5 t · 6 g · 10 tensors · 11 graphs
    TensorProto  13 external_data · 14 data_location (1 = external)

Refused: data outside the file (a runtime would open whatever path stands there), operators of other domains than ONNX's
own (they are code), functions (they hide both), more operators or deeper nesting than any model of ours has.
"""

from collections.abc import Iterator
from typing import TypeAlias

from devices.protobuf import BYTES, VARINT, read_varint

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
FIELDS_MAX = 2_000_000
DEPTH_MAX = 8
EXTERNAL = 1

Field: TypeAlias = tuple[int, int, int | memoryview]


class NotAModel(ValueError):
    """The text says what is wrong with it."""


def check(data: bytes) -> None:
    """Raises NotAModel."""
    graphs = 0
    left = [FIELDS_MAX]
    for number, kind, value in _fields(memoryview(data), left):
        if number == 7 and kind == BYTES:
            graphs += 1
            _graph(_message(value), left, 0)
        elif number == 8 and kind == BYTES:
            _check_domain(_text(_message(value), 1, left))
        elif number == 25:
            raise NotAModel("has functions of its own")
    if graphs != 1:
        raise NotAModel("is no ONNX model: expected one graph")


def _graph(data: memoryview, left: list[int], depth: int) -> None:
    if depth > DEPTH_MAX:
        raise NotAModel(f"graphs inside graphs, more than {DEPTH_MAX} deep")
    for number, kind, value in _fields(data, left):
        if kind != BYTES:
            continue
        if number == 1:
            _node(_message(value), left, depth)
        elif number == 5:
            _tensor(_message(value), left)
        elif number == 15:
            _sparse(_message(value), left)


def _node(data: memoryview, left: list[int], depth: int) -> None:
    for number, kind, value in _fields(data, left):
        if number == 7 and kind == BYTES:
            _check_domain(bytes(_message(value)).decode(errors="replace"))
        elif number == 5 and kind == BYTES:
            _attribute(_message(value), left, depth)


def _attribute(data: memoryview, left: list[int], depth: int) -> None:
    for number, kind, value in _fields(data, left):
        if kind != BYTES:
            continue
        if number in {5, 10}:
            _tensor(_message(value), left)
        elif number in {6, 11}:
            _graph(_message(value), left, depth + 1)
        elif number in {22, 23}:
            _sparse(_message(value), left)


def _sparse(data: memoryview, left: list[int]) -> None:
    """SparseTensorProto: 1 values, 2 indices."""
    for number, kind, value in _fields(data, left):
        if number in {1, 2} and kind == BYTES:
            _tensor(_message(value), left)


def _tensor(data: memoryview, left: list[int]) -> None:
    for number, kind, value in _fields(data, left):
        if number == 13 or (number == 14 and kind == VARINT and value == EXTERNAL):
            raise NotAModel("keeps weights in another file")


def _check_domain(domain: str) -> None:
    if domain not in DOMAINS:
        raise NotAModel(f"asks for operators of {domain[:80]!r}, which are code of somebody's")


def _text(data: memoryview, wanted: int, left: list[int]) -> str:
    for number, kind, value in _fields(data, left):
        if number == wanted and kind == BYTES:
            return bytes(_message(value)).decode(errors="replace")
    return ""


def _message(value: int | memoryview) -> memoryview:
    assert isinstance(value, memoryview)
    return value


def _fields(data: memoryview, left: list[int]) -> Iterator[Field]:
    """Numbers packed into one field are one field. Raises NotAModel."""
    at = 0
    while at < len(data):
        left[0] -= 1
        if left[0] < 0:
            raise NotAModel("has more parts than any model of ours")
        tag = read_varint(bytes(data[at : at + 10]), 0)
        if tag is None or tag[0] >> 3 == 0:
            raise NotAModel("is no ONNX model, or torn")
        number, kind = tag[0] >> 3, tag[0] & 7
        at += tag[1]
        if kind == VARINT:
            read = read_varint(bytes(data[at : at + 10]), 0)
            if read is None:
                raise NotAModel("is no ONNX model, or torn")
            at += read[1]
            yield number, kind, read[0]
            continue
        length = {1: 8, 5: 4}.get(kind)
        if kind == BYTES:
            read = read_varint(bytes(data[at : at + 10]), 0)
            length, at = (read[0], at + read[1]) if read is not None else (None, at)
        if length is None or length > len(data) - at:
            raise NotAModel("is no ONNX model, or torn")
        yield number, kind, data[at : at + length]
        at += length

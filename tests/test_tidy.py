"""Style is a test: the import table, the limits and the owners of DESIGN section 2, read from the syntax trees.

What is checked here is not discussed in review. Every check has a test below that shows it failing on a bad line.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("devices", "geofences", "edge", "hub", "simulators", "gridward")

FUNCTION_LINES_MAX = 60
NESTING_MAX = 3
MODULE_LINES_MAX = 400
MOCKS_PER_1000_TEST_LINES_MAX = 3

# What a package may import of ours, and which third-party packages at most (None: any that it owns).
MAY_IMPORT_OURS = {
    "geofences": {"geofences"},
    "devices": {"devices"},
    "edge": {"edge", "devices", "geofences"},
    "hub": {"hub", "devices", "geofences"},
    "simulators": {"simulators", "devices", "geofences"},
    "gridward": set(OURS),
}
MAY_IMPORT_OTHERS = {
    "geofences": {"shapely", "numpy", "msgspec"},
    "devices": {"msgspec", "cryptography", "prcoords"},
}
NO_IO = {"asyncio", "socket", "socketserver", "select", "selectors", "subprocess", "threading", "time", "os", "logging"}
NO_IO |= {"pathlib", "io", "tempfile", "shutil", "signal", "ssl", "http", "urllib", "sqlite3", "structlog"}
PURE = re.compile(
    r"^(geofences/.*|devices/.*|edge/(pipeline|rules|reports|window)\.py"
    r"|edge/access/(passes|gates|ledger|decision|liveness|walk|measured)\.py|hub/(incidents|correlation|escalation)\.py)$"
)
MODELS = {"onnxruntime", "cv2"}  # edge/inference/ is the only place with them

# With shapely and numpy, for hubs and tools: where zones are drawn, checked and asked in bulk.
HEAVY_GEOFENCES = re.compile(r"^geofences/(batch|buffers|fleet\w*|drawings\w*|grid\w*|validity)\.py$")

# Structs, typing and logging are the language we write in, not clients of something outside.
NOT_CLIENTS = {"msgspec", "structlog", "cryptography", "shapely", "numpy", "typer", "rich", "starlette", "fastapi"}

# Modules that are one table of data; their length is the length of the standard they write down.
DATA_TABLES: set[str] = {"devices/dictionary.py"}

# Loads the families of its own table, each when it is asked for.
IMPORTS_BY_STRING = {"devices/families/__init__.py"}

NAMES_REFUSED = {"utils", "helpers", "common", "base", "manager", "handler", "service", "misc"}
BROAD_EXCEPT_ALLOWED = re.compile(
    r"^(edge/links\w*\.py|edge/supervisor\.py|hub/ingest\w*\.py|\w+/(\w+/)*__main__\.py)$"
)

CLOCK = re.compile(r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|time\.(time|monotonic|sleep|perf_counter)(_ns)?)$")
ASYNC_SLEEP = re.compile(r"^asyncio\.sleep$")
ENVIRONMENT = re.compile(r"^os\.(environ|getenv|putenv)")
ENVIRONMENT_OWNERS = {"gridward/processes.py", "edge/secret.py", "hub/secret.py"}
STDOUT_OWNERS = re.compile(r"^(gridward/\w+|\w+/__main__)\.py$")


def modules(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    """(path relative to the repository, syntax tree) of every module of the packages."""
    for package in packages or OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def dotted(node: ast.expr) -> str:
    """`a.b.c` for a name or attribute chain, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


# --- the checks: (path, tree) -> what is wrong ---------------------------------------------------


def imports_point_downwards(path: str, tree: ast.Module) -> list[str]:
    package = path.split("/", maxsplit=1)[0]
    wrong = []
    for line, name in imported(tree):
        top = name.split(".")[0]
        if top in OURS and top not in MAY_IMPORT_OURS[package]:
            wrong.append(f"{path}:{line} {package} imports {top}")
        if package == "hub" and name.startswith("devices.families"):
            wrong.append(f"{path}:{line} hub imports devices.families")
        if PURE.match(path) and (top in NO_IO or name.split(".")[-1] == "clock"):
            wrong.append(f"{path}:{line} imports {name}: no I/O and no clock here")
        if top in MODELS and not path.startswith("edge/inference/"):
            wrong.append(f"{path}:{line} imports {top}: only edge/inference may")
        stranger = top not in OURS and top not in sys.stdlib_module_names
        if stranger and package in MAY_IMPORT_OTHERS and top not in MAY_IMPORT_OTHERS[package]:
            wrong.append(f"{path}:{line} {package} imports {top}")
    return wrong


def imports_are_absolute(path: str, tree: ast.Module) -> list[str]:
    """The table above cannot see where a relative import leads, nor one made of a string."""
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            wrong.append(f"{path}:{node.lineno} imports relatively")
        by_string = isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in ("import_module", "__import__")
        if by_string and path not in IMPORTS_BY_STRING:
            wrong.append(f"{path}:{node.lineno} imports by a string")
    return wrong


def pure_modules_open_nothing(path: str, tree: ast.Module) -> list[str]:
    if not PURE.match(path):
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [f"{path}:{call.lineno} opens a file" for call in calls if dotted(call.func) in ("open", "input")]


def functions_are_short_and_flat(path: str, tree: ast.Module) -> list[str]:
    wrong = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            wrong.append(f"{path}:{node.lineno} {node.name} has {lines} lines")
        depth = nesting(node.body)
        if depth > NESTING_MAX:
            wrong.append(f"{path}:{node.lineno} {node.name} nests {depth} deep")
    return wrong


def nesting(body: list[ast.stmt]) -> int:
    """How many blocks deep the deepest statement of `body` stands; `elif` counts as its `if`."""
    return max((_depth(statement) for statement in body), default=0)


def _depth(statement: ast.stmt) -> int:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return 0  # measured by itself
    if isinstance(statement, ast.If):
        otherwise = statement.orelse
        chained = len(otherwise) == 1 and isinstance(otherwise[0], ast.If)
        beside = _depth(otherwise[0]) if chained else 1 + nesting(otherwise)
        return max(1 + nesting(statement.body), beside)
    if isinstance(statement, ast.Match):
        return 1 + max(nesting(case.body) for case in statement.cases)
    blocks = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
    blocks += [handler.body for handler in getattr(statement, "handlers", [])]
    return 1 + max(map(nesting, blocks)) if any(blocks) else 0


def modules_are_short_and_named(path: str, tree: ast.Module) -> list[str]:
    wrong = []
    lines = max((getattr(node, "end_lineno", 0) or 0 for node in ast.walk(tree)), default=0)
    if lines > MODULE_LINES_MAX and path not in DATA_TABLES:
        wrong.append(f"{path} has {lines} lines")
    if refused := NAMES_REFUSED.intersection(part.removesuffix(".py") for part in path.split("/")):
        wrong.append(f"{path} is called {refused}")
    if not ast.get_docstring(tree) and tree.body:
        wrong.append(f"{path} has no docstring")
    return wrong


def broad_except_has_three_homes(path: str, tree: ast.Module) -> list[str]:
    if BROAD_EXCEPT_ALLOWED.match(path):
        return []
    broad = ("Exception", "BaseException", "")
    return [
        f"{path}:{node.lineno} catches everything"
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and any(name in broad for name in _caught(node))
    ]


def _caught(handler: ast.ExceptHandler) -> list[str]:
    """The names that `except` lists; "" when it lists none."""
    if handler.type is None:
        return [""]
    listed = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [dotted(name) or "?" for name in listed]


def clock_and_environment_have_owners(path: str, tree: ast.Module) -> list[str]:
    wrong = []
    for node in ast.walk(tree):
        name = dotted(node) if isinstance(node, ast.Attribute) else ""
        if (CLOCK.search(name) or ASYNC_SLEEP.match(name)) and not path.endswith("/clock.py"):
            wrong.append(f"{path}:{node.lineno} {name}: only clock.py may")
        if ENVIRONMENT.match(name) and path not in ENVIRONMENT_OWNERS:
            wrong.append(f"{path}:{node.lineno} {name}: only {sorted(ENVIRONMENT_OWNERS)} may")
    if path.endswith("/clock.py"):
        return wrong
    refused = {"time.time", "time.sleep", "time.monotonic", "time.perf_counter", "asyncio.sleep"}
    return wrong + [f"{path}:{line} imports {name}" for line, name in imported(tree) if name in refused]


def waiting_can_be_cancelled(path: str, tree: ast.Module) -> list[str]:
    """Up to Python 3.11 `asyncio.wait_for` forgets a cancellation that comes with its result: the task never ends."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and dotted(node) == "asyncio.wait_for"]
    return [f"{path}:{call.lineno} asyncio.wait_for: use asyncio.timeout" for call in calls]


def an_edge_loads_no_shapely(path: str, tree: ast.Module) -> list[str]:
    """With numpy it would cost an agent 17 MB; edges obey zones that were checked where they were drawn."""
    if (
        not path.startswith(("geofences/", "edge/"))
        or path.startswith("edge/inference/")
        or HEAVY_GEOFENCES.match(path)
    ):
        return []
    return [
        f"{path}:{line} imports {name}"
        for line, name in imported(tree)
        if name.split(".")[0] in ("shapely", "numpy") or HEAVY_GEOFENCES.match(f"{name.replace('.', '/')}.py")
    ]


def printing_has_owners(path: str, tree: ast.Module) -> list[str]:
    if STDOUT_OWNERS.match(path):
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    loud = [call for call in calls if dotted(call.func) in ("print", "sys.stdout.write", "typer.echo")]
    return [f"{path}:{call.lineno} prints" for call in loud]


CHECKS: tuple[Callable[[str, ast.Module], list[str]], ...] = (
    imports_point_downwards,
    imports_are_absolute,
    pure_modules_open_nothing,
    functions_are_short_and_flat,
    modules_are_short_and_named,
    broad_except_has_three_homes,
    clock_and_environment_have_owners,
    waiting_can_be_cancelled,
    an_edge_loads_no_shapely,
    printing_has_owners,
)


def clients(found: dict[str, ast.Module]) -> list[str]:
    """Third-party clients imported by more than one module of a package."""
    homes: dict[tuple[str, str], set[str]] = {}
    for path, tree in found.items():
        for _, name in imported(tree):
            top = name.split(".")[0]
            if top not in OURS and top not in sys.stdlib_module_names and top not in NOT_CLIENTS:
                homes.setdefault((path.split("/")[0], top), set()).add(path)
    return [f"{package}: {top} in {sorted(paths)}" for (package, top), paths in homes.items() if len(paths) > 1]


# --- the house as it stands ----------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_module_is_tidy(check: Callable[[str, ast.Module], list[str]]) -> None:
    assert [wrong for path, tree in modules() for wrong in check(path, tree)] == []


@pytest.mark.parametrize("package", OURS)
def test_each_client_library_has_one_home(package: str) -> None:
    assert clients(dict(modules(package))) == []


def test_mocks_are_rare() -> None:
    texts = [path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    mocks = sum(len(re.findall(r"\bmock\b|\bMagicMock\b|monkeypatch\.setattr|\bpatch\(", text)) for text in texts)
    lines = sum(text.count("\n") for text in texts)
    assert mocks * 1000 <= MOCKS_PER_1000_TEST_LINES_MAX * lines


def test_the_scan_sees_the_house() -> None:
    assert {path.split("/")[0] for path, _ in modules()} == set(OURS)


# --- the checks can fail -------------------------------------------------------------------------

DEEP = """
def f():
    if a:
        for b in c:
            with d:
                if e:
                    pass
"""
FLAT = """
def f():
    if a:
        pass
    elif b:
        pass
    elif c:
        pass
    elif d:
        pass
"""
LONG = "def f():\n" + "    pass\n" * FUNCTION_LINES_MAX

BAD = [
    (imports_point_downwards, "edge/x.py", "import hub.store"),
    (imports_point_downwards, "edge/x.py", "def f():\n    from simulators import world"),
    (imports_point_downwards, "hub/x.py", "from devices import families"),
    (imports_point_downwards, "hub/x.py", "from devices.families.jt808 import FAMILY"),
    (imports_point_downwards, "devices/x.py", "import asyncio"),
    (imports_point_downwards, "devices/x.py", "import shapely"),
    (imports_point_downwards, "geofences/x.py", "from time import sleep"),
    (imports_point_downwards, "simulators/x.py", "import gridward.clock"),
    (imports_point_downwards, "simulators/x.py", "from edge.spool import Spool"),
    (imports_point_downwards, "geofences/x.py", "from devices.observation import Alarm"),
    (imports_point_downwards, "geofences/x.py", "import pyproj"),
    (imports_point_downwards, "devices/families/x.py", "from pathlib import Path"),
    (imports_point_downwards, "edge/pipeline.py", "import structlog"),
    (imports_point_downwards, "edge/rules.py", "from edge import clock"),
    (imports_point_downwards, "hub/incidents.py", "import asyncio"),
    (imports_point_downwards, "hub/correlation.py", "from hub import clock"),
    (imports_point_downwards, "hub/x.py", "import cv2"),
    (imports_point_downwards, "edge/x.py", "import onnxruntime"),
    (imports_are_absolute, "edge/x.py", "from ..hub import store"),
    (imports_are_absolute, "edge/x.py", "import importlib\nimportlib.import_module('hub')"),
    (pure_modules_open_nothing, "geofences/x.py", "open('a')"),
    (functions_are_short_and_flat, "hub/x.py", DEEP),
    (functions_are_short_and_flat, "hub/x.py", LONG),
    (modules_are_short_and_named, "hub/utils.py", '"""Doc."""'),
    (modules_are_short_and_named, "hub/x.py", '"""Doc."""\n' + "a = 1\n" * MODULE_LINES_MAX),
    (modules_are_short_and_named, "hub/x.py", "a = 1"),
    (broad_except_has_three_homes, "hub/api.py", "try:\n    f()\nexcept Exception:\n    pass"),
    (broad_except_has_three_homes, "hub/api.py", "try:\n    f()\nexcept:\n    pass"),
    (broad_except_has_three_homes, "hub/api.py", "try:\n    f()\nexcept (OSError, Exception):\n    pass"),
    (clock_and_environment_have_owners, "hub/x.py", "from datetime import datetime\ndatetime.now()"),
    (clock_and_environment_have_owners, "hub/x.py", "import asyncio\nawait_ = asyncio.sleep(1)"),
    (clock_and_environment_have_owners, "hub/x.py", "from time import time"),
    (clock_and_environment_have_owners, "hub/x.py", "import os\nos.environ['A']"),
    (waiting_can_be_cancelled, "hub/x.py", "import asyncio\nawait asyncio.wait_for(f(), 1)"),
    (an_edge_loads_no_shapely, "edge/x.py", "import geofences.validity"),
    (an_edge_loads_no_shapely, "edge/x.py", "from geofences.batch import Batch"),
    (an_edge_loads_no_shapely, "edge/x.py", "from geofences import drawings_kml"),
    (an_edge_loads_no_shapely, "geofences/x.py", "from geofences.buffers import circle"),
    (an_edge_loads_no_shapely, "geofences/x.py", "from shapely import Point"),
    (printing_has_owners, "hub/x.py", "print('a')"),
]

GOOD = [
    (imports_point_downwards, "hub/x.py", "from devices.observation import Alarm\nimport geofences"),
    (imports_point_downwards, "gridward/x.py", "from devices.families import FAMILIES"),
    (imports_point_downwards, "edge/inference/x.py", "import onnxruntime"),
    (imports_point_downwards, "edge/uplink.py", "from edge import clock"),
    (pure_modules_open_nothing, "edge/config.py", "open('a')"),
    (functions_are_short_and_flat, "hub/x.py", FLAT),
    (broad_except_has_three_homes, "hub/ingest.py", "try:\n    f()\nexcept Exception:\n    pass"),
    (clock_and_environment_have_owners, "hub/clock.py", "from datetime import datetime\ndatetime.now()"),
    (printing_has_owners, "edge/__main__.py", "print('a')"),
]


@pytest.mark.parametrize(("check", "path", "source"), BAD)
def test_the_check_fails_on_a_bad_line(check: Callable[[str, ast.Module], list[str]], path: str, source: str) -> None:
    assert check(path, ast.parse(source))


@pytest.mark.parametrize(("check", "path", "source"), GOOD)
def test_the_check_passes_a_good_line(check: Callable[[str, ast.Module], list[str]], path: str, source: str) -> None:
    assert check(path, ast.parse(source)) == []


def test_a_client_with_two_homes_is_found() -> None:
    both = {"hub/a.py": ast.parse("import aiomqtt"), "hub/b.py": ast.parse("from aiomqtt import Client")}
    assert clients(both) == ["hub: aiomqtt in ['hub/a.py', 'hub/b.py']"]

"""Panel frame → incident visible in the console's event stream, with every part real.

One panel dials the edge of a whole running product. For each sample its smoke frame is written to the socket and the
time until the hub's server-sent events carry the alarm's incident is taken; then the component is cleared. The limit
beside it is one bare HTTP round trip to the same hub: what the event stream cannot beat.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx

from bench.result import Result
from gridward.broker import HOST, free_port
from gridward.rehearsal import percentile
from gridward.stack import Stack
from simulators import panel
from tests.acceptance.conftest import PANEL, SCENARIO
from tests.acceptance.device_line import DeviceLine

SAMPLES = 100
SAMPLES_QUICK = 20
GOAL_MS = 1000
WAIT_S_MAX = 10
LISTEN_S_MAX = 60  # the hub sends a heartbeat every 15 s


def run(quick: bool) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="gridward-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        scenario = home / "panel.toml"
        scenario.write_text(SCENARIO)
        stack = Stack(home, scenario, lambda text: None, free_port())
        try:
            stack.start()
            return _measure(stack, SAMPLES_QUICK if quick else SAMPLES)
        finally:
            stack.stop()


def _measure(stack: Stack, samples: int) -> list[Result]:
    line = DeviceLine(panel.build(PANEL, {}, 1), HOST, stack.venue.links["gbt26875"])
    seen: list[tuple[float, dict[str, Any]]] = []
    logged_in = token(stack)
    listening = Thread(target=_listen, args=(stack.venue.console_url, logged_in, seen), daemon=True)
    listening.start()
    try:
        _sample(line, seen, 0)  # the first opens connections and plans
        waits_ms = [_sample(line, seen, number) for number in range(1, samples + 1)]
    finally:
        line.close()
    with httpx.Client(base_url=stack.venue.console_url, trust_env=False) as client:
        bare_ms = [bare(client) for _ in range(samples)]
    names = (("p50", 0.5), ("p99", 0.99))
    return [
        Result(
            name=f"panel frame → incident in the event stream, {name}",
            value=percentile(waits_ms, share),
            unit="ms",
            limit=percentile(bare_ms, share),
            limit_name="bare HTTP round trip",
            goal=f"≤ {GOAL_MS} ms",
            met=percentile(waits_ms, share) <= GOAL_MS,
            note=f"{samples} smoke alarms, one at a time",
        )
        for name, share in names
    ]


def _sample(line: DeviceLine, seen: list[tuple[float, dict[str, Any]]], number: int) -> float:
    """Milliseconds from the smoke to an event whose incident has one alarm more; then the component is cleared."""
    known = max((body["alarm_count"] for _, body in seen), default=0)
    began = time.perf_counter()
    line.act("smoke", component=number + 1)
    while not seen or seen[-1][1]["alarm_count"] <= known:
        assert time.perf_counter() - began < WAIT_S_MAX, "no incident was seen"
        time.sleep(0.0005)
    arrived = seen[-1][0]
    line.act("clear", component=number + 1)
    line.wait_for(lambda accepted: len(accepted) >= 2 * (number + 1))
    return (arrived - began) * 1000


def _listen(url: str, token: str, seen: list[tuple[float, dict[str, Any]]]) -> None:
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    try:
        with httpx.stream(
            "GET", f"{url}/api/v1/live", headers=headers, timeout=LISTEN_S_MAX, trust_env=False
        ) as answer:
            for name, body in _events(answer.iter_lines()):
                if name == "incident":
                    seen.append((time.perf_counter(), body))
    except httpx.HTTPError:
        return  # the hub was stopped: the measurement is over


def _events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in lines:
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            yield name, json.loads(line[5:])


def token(stack: Stack) -> str:
    body = {"name": "operator", "password": stack.venue.password}
    answer = httpx.post(f"{stack.venue.console_url}/api/v1/login", json=body, trust_env=False)
    found: str = answer.raise_for_status().json()["token"]
    return found


def bare(client: httpx.Client) -> float:
    began = time.perf_counter()
    client.get("/api/v1/health")
    return (time.perf_counter() - began) * 1000

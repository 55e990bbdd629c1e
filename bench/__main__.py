"""`python -m bench [--quick] [NAME …]`: run the benchmarks and print a table; a whole run writes bench/results.json and
docs/performance.md.

A benchmark is a module of this folder with `run(quick: bool) -> list[Result]`. One that cannot run here says why and
the others go on; the exit code is 1 when a benchmark failed or a goal was missed.
"""

import os
import platform
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from bench import page
from bench.result import Result

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
NO_BENCHMARK = ("__init__", "__main__", "result", "page")
QUICK_OPTION = typer.Option("--quick", help="A shorter run: rougher numbers.")
NAMES_ARGUMENT = typer.Argument(help="Benchmarks to run; all when none is named.", show_default=False)


def main(
    names: Annotated[list[str] | None, NAMES_ARGUMENT] = None,
    quick: Annotated[bool, QUICK_OPTION] = False,
) -> None:
    """Run the benchmarks; a whole run writes bench/results.json. Example: python -m bench --quick decode"""
    console = Console()
    known = found()
    if unknown := set(names or ()) - set(known):
        console.print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        raise typer.Exit(2)
    measured: dict[str, Any] = {}
    failed, missed = False, []
    for name in names or known:
        began = time.perf_counter()
        try:
            with console.status(f"measuring {name}"):
                results = import_module(f"bench.{name}").run(quick)
        except Exception as error:
            console.print(f"[red]{name} did not run:[/red] {type(error).__name__}: {error}", highlight=False)
            measured[name], failed = {"error": f"{type(error).__name__}: {error}"}, True
            continue
        console.print(table_of(name, results, time.perf_counter() - began))
        measured[name] = [as_json(result) for result in results]
        missed += [result.name for result in results if result.met is False]
    if names:
        console.print(f"not written: {RESULTS.name} holds whole runs only", highlight=False)
    else:
        write(measured, quick)
        console.print(f"written: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")
    if missed:
        console.print(said_of(missed), highlight=False)
    raise typer.Exit(int(failed or bool(missed)))


def said_of(missed: list[str]) -> str:
    """What a missed goal means, for whoever sees exit code 1."""
    return (
        f"missed: {', '.join(missed)}. Nothing is broken: this machine did not reach the goal now. Try again with "
        "nothing else running; the ratio compares with a limit that was measured beside it in the same run."
    )


def found() -> list[str]:
    """Every module of this folder that has a `run`, by name; nothing is imported yet."""
    paths = sorted(path for path in FOLDER.glob("*.py") if path.stem not in NO_BENCHMARK)
    return [path.stem for path in paths if "\ndef run(" in path.read_text()]


def table_of(name: str, results: list[Result], seconds: float) -> Table:
    table = Table(
        "measured", "value", "beside", "ratio", "goal", "", title=f"{name} ({seconds:.0f} s)", title_justify="left"
    )
    marks = {True: "[green]met[/green]", False: "[red]missed[/red]", None: ""}
    for result in results:
        beside = f"{result.limit_name} {number(result.limit)} {result.unit}" if result.limit else ""
        ratio = f"{result.ratio:.2f}×" if result.ratio is not None else ""
        value = f"{number(result.value)} {result.unit}"
        table.add_row(result.name, value, beside, ratio, result.goal, marks[result.met])
        if result.note:
            table.add_row(f"  [dim]{result.note}[/dim]", "", "", "", "", "")
    return table


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_json(result: Result) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(result)
    return {**built, "ratio": result.ratio}


def write(measured: dict[str, Any], quick: bool) -> None:
    cores = len(os.sched_getaffinity(0))
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {cores} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "quick": quick,
        "benchmarks": measured,
    }
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    page.write(document)


if __name__ == "__main__":
    typer.run(main)

"""The measured numbers of a contest as results, with the goals they have to reach."""

from msgspec import Struct

from bench.fences.contest import Times
from bench.result import Result

OURS, FULL, C_KERNEL = "ours, plain", "ours, full semantics", "C kernel"
TURF, WHICH, SHAPELY = "turf + flatbush", "which-polygon", "shapely"
POSTGIS, TILE38 = "PostGIS", "Tile38"
FULL_OF_PLAIN_MIN = 0.5
SINGLE_P99_US_MAX = 1_000
MEMORY_MB_MAX = 150


class Goals(Struct, frozen=True):
    of_c_min: float
    of_javascript_min: float
    of_tile38_min: float
    single_of_c_max: float


GOALS = {1_000: Goals(0.15, 1.5, 10, 4), 10_000: Goals(0.2, 3, 8, 8)}
# Medians of live fences of Tile38 1.26 and of PostGIS in batches of 1,000, on another machine with two cores like ours.
REFERENCE = {TILE38: {1_000: 97_000.0, 10_000: 14_000.0}, POSTGIS: {1_000: 74_000.0, 10_000: 18_000.0}}


class Contest(Struct, frozen=True):
    """`absent`: engines that did not run, and why."""

    fences: int
    fixes: int
    rounds: int
    inside: float  # fences that hold a fix, on average
    compile_s: float
    times: dict[str, Times]
    absent: dict[str, str]


def of(contest: Contest) -> list[Result]:
    return [*_rates(contest), *_goals(contest), *_singles(contest), _compiling(contest)]


def memory(over_bare_mb: float, fences: int, tracks: int) -> Result:
    return Result(
        name=f"memory over the interpreter, {fences:,} fences",
        value=over_bare_mb,
        unit="MB",
        goal=f"≤ {MEMORY_MB_MAX} MB",
        met=over_bare_mb <= MEMORY_MB_MAX,
        note=f"{tracks:,} tracks, in a process of its own",
    )


def _named(contest: Contest, what: str) -> str:
    return f"{contest.fences:,} fences: {what}"


def _rates(contest: Contest) -> list[Result]:
    """Every engine, beside the limit; those that are not here with what another machine told of them."""
    limit = contest.times.get(C_KERNEL)
    told = f"{contest.fixes:,} fixes, each in {contest.inside:.1f} fences; the same events; medians of {contest.rounds}"
    found = [
        Result(
            name=_named(contest, name),
            value=times.fixes_per_s,
            unit="fixes/s",
            limit=limit.fixes_per_s if limit else None,
            limit_name=C_KERNEL,
            note=told if number == 0 else "",
        )
        for number, (name, times) in enumerate(contest.times.items())
        if name != OURS
    ]
    for name, why in contest.absent.items():
        elsewhere = REFERENCE.get(name, {}).get(contest.fences, 0.0)
        note = f"not measured: {why}" + ("; the number is another machine's" if elsewhere else "")
        found.append(Result(name=_named(contest, name), value=elsewhere, unit="fixes/s", note=note))
    return found


def _goals(contest: Contest) -> list[Result]:
    goals = GOALS[contest.fences]
    rates = {name: times.fixes_per_s for name, times in contest.times.items()}
    elsewhere = "Tile38's number is another machine's"
    best = max((rates[name] for name in (TURF, WHICH) if name in rates), default=None)
    tile38 = rates.get(TILE38, REFERENCE[TILE38][contest.fences])
    asked = [
        (OURS, rates.get(C_KERNEL), C_KERNEL, goals.of_c_min, ""),
        (OURS, best, "best JavaScript", goals.of_javascript_min, ""),
        (OURS, tile38, TILE38, goals.of_tile38_min, "" if TILE38 in rates else elsewhere),
        (FULL, rates[OURS], OURS, FULL_OF_PLAIN_MIN, ""),
    ]
    return [
        Result(
            name=_named(contest, name),
            value=rates[name],
            unit="fixes/s",
            limit=limit,
            limit_name=limit_name,
            goal=f"≥ {least:g}×",
            met=rates[name] >= least * limit,
            note=note,
        )
        for name, limit, limit_name, least, note in asked
        if name in rates and limit is not None
    ]


def _singles(contest: Contest) -> list[Result]:
    """One call for one fix."""
    timed = {name: times for name, times in contest.times.items() if times.single_p50_us}
    most = GOALS[contest.fences].single_of_c_max
    limit = timed[C_KERNEL].single_p50_us if C_KERNEL in timed else None
    found = [
        Result(
            name=_named(contest, f"{name}, single fix p50"),
            value=times.single_p50_us,
            unit="µs",
            limit=limit,
            limit_name=C_KERNEL,
            goal=f"≤ {most:g}×" if name == OURS and limit else "",
            met=times.single_p50_us <= most * limit if name == OURS and limit else None,
        )
        for name, times in timed.items()
    ]
    p99 = timed[OURS].single_p99_us
    name = _named(contest, f"{OURS}, single fix p99")
    return [*found, Result(name=name, value=p99, unit="µs", goal="≤ 1 ms", met=p99 <= SINGLE_P99_US_MAX)]


def _compiling(contest: Contest) -> Result:
    return Result(name=_named(contest, "to compile them"), value=contest.compile_s, unit="s")

"""Coverage-guided fuzzing of every family's decoder: `python -m tests.fuzz [--seconds 600] [FAMILY …]`, or `make fuzz`.

Each family runs in a process of its own under libFuzzer (atheris), beginning from good frames: it must not raise, hang
(HANG_S), hold more than RSS_MB_MAX or answer without end. An input that makes it is kept in var/fuzz/, and the exit
code is 1; give it to a test. What was learnt stays there too, so that the next run goes on from it.

An input is a byte that says how the rest is cut (or, for families of messages, which channel it comes in), and the
rest. When that byte is odd, the commands of tests.devices.frames wait for their answers; its next bit chooses between
the default settings and SETTINGS, where a family has another side (OSDP: the control panel, that asks). Time passes
between the pieces.
"""

import argparse
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

KEPT = Path("var/fuzz")
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
RSS_MB_MAX, HANG_S, INPUT_BYTES_MAX = 1_024, 10, 4_096
WAITING_MAX = 1_000_000
TICK = timedelta(seconds=0.25)
SETTINGS: dict[str, dict[str, Any]] = {"osdp": {"readers": [{"address": 5}, {"address": 6, "key": "30" * 16}]}}
DONE = re.compile(r"Done (\d+) (?:runs|in)")
COVERED = re.compile(r"cov: (\d+)")


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="all when none is named")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all of them together (600)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.child:
        fuzz(options.families[0], max(int(options.seconds), 1))
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("fuzzing needs atheris, which has no wheel for this machine: pip install atheris")
        return 2
    from devices.families import FAMILIES

    names = options.families or sorted(FAMILIES)
    if unknown := set(names) - set(FAMILIES):
        print(f"no family {', '.join(sorted(unknown))}; there are: {', '.join(sorted(FAMILIES))}")
        return 2
    failed = [name for name in names if not one(name, options.seconds / len(names))]
    print(f"{len(names) - len(failed)} of {len(names)} families without a crash, a hang or a leak")
    return bool(failed)


def one(name: str, seconds: float) -> bool:
    """Fuzz a family in a process of its own; whether it held."""
    argv = [sys.executable, "-m", "tests.fuzz", "--child", f"--seconds={seconds}", name]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    runs, covered = DONE.search(ended.stderr), COVERED.findall(ended.stderr)
    held = ended.returncode == 0 and runs is not None
    told = f"{int(runs[1]):>10,} inputs" if runs else "          - inputs"
    print(
        f"{name:<14}{told}, {covered[-1] if covered else '-':>6} points covered  {'' if held else 'FAILED'}", flush=True
    )
    if not held:
        print("\n".join((ended.stdout + ended.stderr).splitlines()[-25:]), flush=True)
    return held


def fuzz(name: str, seconds: int) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["devices"]):
        from devices.families import FAMILIES
        from devices.family import MessageFamily

        family = FAMILIES[name]
    from tests.devices import frames, messages

    corpus = KEPT / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    if isinstance(family, MessageFamily):
        good = messages.GOOD_MESSAGES[name]
        channels = sorted({one.message.channel for one in messages.GOOD_MESSAGES.values()})
        _begin(corpus, [bytes((channels.index(good.message.channel),)) + good.message.data])
        settings = msgspec.convert(good.settings, family.settings)
        target = _message_target(family, settings, channels)
    else:
        _begin(corpus, [b"\x00" + frames.GOOD[name][1], b"\x05" + frames.GOOD[name][1] * 2])
        sides = [family.settings(), msgspec.convert(SETTINGS.get(name, {}), family.settings)]
        target = _byte_target(family, sides, frames.GOOD[name], frames.COMMANDS.get(name, ()))
    limits = [f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}", f"-rss_limit_mb={RSS_MB_MAX}"]
    argv = [sys.argv[0], str(corpus), *limits, f"-timeout={HANG_S}", f"-artifact_prefix={KEPT / name}{os.sep}"]
    atheris.Setup(argv, target)
    atheris.Fuzz()


def _begin(corpus: Path, inputs: list[bytes]) -> None:
    for number, data in enumerate(inputs):
        (corpus / f"good-{number}").write_bytes(data[:INPUT_BYTES_MAX])


def _byte_target(family: Any, sides: list[Any], good: tuple[str, bytes], commands: Any) -> Any:
    from devices.family import DeviceCommand, Everyone

    native_id, frame = good
    asked = [DeviceCommand(nonce=action, native_id=native_id, action=action, args=args) for action, args in commands]

    def target(data: bytes) -> None:
        cut, rest = data[0] if data else 0, data[1:]
        session = family.open_session(sides[cut >> 1 & 1], Everyone())
        now = NOW
        if cut % 2 and asked:
            session.receive(frame, NOW)
            for command in asked:
                session.command(command, NOW)
        for at in range(0, len(rest), cut or len(rest) or 1):
            session.receive(rest[at : at + (cut or len(rest))], now)
            assert len(session.to_send()) < WAITING_MAX
            now += TICK
            session.idle(now)
            assert len(session.to_send()) < WAITING_MAX

    return target


def _message_target(family: Any, settings: Any, channels: list[str]) -> Any:
    from devices.family import Everyone, Message

    def target(data: bytes) -> None:
        session = family.open_session(settings, Everyone())
        which = data[0] if data else 0
        channel, rest = (channels[which], data[1:]) if which < len(channels) else _written_channel(data[1:])
        for _ in range(2):
            session.receive(Message(channel, rest, {}), NOW)
            assert sum(len(answer.data) for answer in session.to_send()) < WAITING_MAX

    return target


def _written_channel(data: bytes) -> tuple[str, bytes]:
    channel, _, rest = data.partition(b"\n")
    return channel.decode(errors="replace"), rest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

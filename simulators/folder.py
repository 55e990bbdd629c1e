"""Files dropped into a folder: each message is a file. It is accepted when the edge has moved it to `done` below."""

import random
from collections.abc import Sequence
from pathlib import Path

from simulators import clock
from simulators.device import Packet
from simulators.faults import disturbed_alone, packet_of_noise
from simulators.stage import Member, Stage


class FolderLine:
    """Devices whose files go to `path`."""

    def __init__(self, members: Sequence[Member], stage: Stage) -> None:
        self._members = members
        self._folder = Path(members[0].spec.path)
        self._stage = stage
        self._random: random.Random = stage.chance(members)
        self._number = 0
        self._dropped: dict[str, tuple[Member, int]] = {}

    async def run(self) -> None:
        """Until cancelled; raises what a device raises, and OSError when the folder cannot be written to."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for member in self._members:
            member.device.connected(clock.now())
        while True:
            for member in self._members:
                member.device.tick(clock.now())
                await self._drop_all(member)
            self._look()
            self._stage.collect(self._members)
            await clock.sleep(self._stage.tick_s)

    async def _drop_all(self, member: Member) -> None:
        packets = member.device.to_send()
        for piece in disturbed_alone(packets, packet_of_noise, self._stage.faults, self._random):
            if piece.wait_s:
                await clock.sleep(piece.wait_s)
            assert piece.data is not None
            self._drop(member, piece.data)

    def _drop(self, member: Member, packet: Packet) -> None:
        self._number += 1
        name = f"{clock.now():%Y%m%dT%H%M%S}-{self._number}-{packet.channel}"
        half = self._folder / f".{name}"
        half.write_bytes(packet.data)
        half.rename(self._folder / name)  # seen whole or not at all
        if packet.key is not None:
            self._dropped[name] = (member, packet.key)

    def _look(self) -> None:
        for name in [name for name in self._dropped if (self._folder / "done" / name).exists()]:
            member, key = self._dropped.pop(name)
            member.device.confirm(key)

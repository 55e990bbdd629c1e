"""What a DMR radio can be asked for, in datagrams, and which of its answers belongs to what was asked. Used by dmr.py.

A radio is asked in the way in which it was last heard: a Hytera radio at the repeater or address it spoke from, a
Motorola radio at its own address. One that was not heard yet cannot be asked.
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from devices.asked import Asked as Command
from devices.asked import Waiting, until
from devices.families import dmr_hytera as hytera
from devices.families import dmr_lrrp as lrrp
from devices.families import dmr_motorola as motorola
from devices.family import CommandKind, CommandRefused, DeviceCommand
from devices.observation import CommandAnswer

TEXT_CHARS_MAX = 200
RADIOS_MAX = 5_000
COMMANDS = (
    CommandKind(name="locate", meaning="asks the radio where it is"),
    CommandKind(name="text", meaning="sends a text to the radio", args={"text": f"up to {TEXT_CHARS_MAX} characters"}),
)
LRRP_MARK = 0x47  # first byte of our request ids, to tell them from those of other systems


class Route(Struct, frozen=True):
    """Where a radio is reached. `channel` is the one it was heard on (Hytera); `address` its four bytes."""

    maker: Literal["hytera", "motorola"]
    peer: str
    channel: str
    address: bytes
    in_packet: bool = False


class Ask(Struct, frozen=True):
    """A datagram to a radio; with `in_packet` it still needs HSTRP around it."""

    channel: str
    data: bytes
    in_packet: bool


class Asked:
    """The memory of one link: routes to radios, and commands that wait for their answer."""

    def __init__(self, dispatcher: int, lrrp_port: int, tms_port: int) -> None:
        self._dispatcher = dispatcher
        self._ports = {"locate": lrrp_port, "text": tms_port}
        self._routes: dict[str, Route] = {}
        self._waiting: Waiting[tuple[str, str, int]] = Waiting()  # radio, action, number
        self._number = 0

    def heard(self, radio: str, route: Route) -> None:
        self._routes.pop(radio, None)
        if len(self._routes) >= RADIOS_MAX:
            del self._routes[next(iter(self._routes))]
        self._routes[radio] = route

    def ask(self, command: DeviceCommand, now: datetime) -> Ask:
        """Raises CommandRefused."""
        text = command.args.get("text", "")
        route = self._routes.get(command.native_id)
        if command.action not in self._ports:
            raise CommandRefused(f"no command {command.action}")
        if route is None:
            raise CommandRefused(f"radio {command.native_id} has not been heard yet")
        if command.action == "text" and not 0 < len(text) <= TEXT_CHARS_MAX:
            raise CommandRefused(f"the text is empty, or longer than {TEXT_CHARS_MAX} characters")
        self._number = self._number % 0x7F + 1  # a text has seven bits for it
        asked = Command(command.nonce, command.action, until(now))
        self._waiting.add((command.native_id, command.action, self._number), asked)
        if route.maker == "motorola":
            port = self._ports[command.action]
            return Ask(f"udp/{port}/{route.peer}:{port}", self._motorola(command.action, text), in_packet=False)
        return Ask(route.channel, self._hytera(command.action, route, text), route.in_packet)

    def _motorola(self, action: str, text: str) -> bytes:
        if action == "text":
            return motorola.write_tms_text(self._number, text)
        return lrrp.write_request(bytes((LRRP_MARK, self._number)))

    def _hytera(self, action: str, route: Route, text: str) -> bytes:
        request = self._number.to_bytes(4)
        if action == "locate":
            return hytera.write_message(hytera.LP, hytera.LP_REQUEST, request + route.address)
        ours = route.address[:1] + self._dispatcher.to_bytes(3)
        body = request + route.address + ours + text.encode("utf-16-le")
        return hytera.write_message(hytera.TMP, hytera.TMP_TEXT, body)

    def answered(
        self, radio: str, action: str, number: int | None, now: datetime, reason: str = ""
    ) -> list[CommandAnswer]:
        """The answer to the command that asked for it, none when nobody did; `reason`: why the radio refused."""
        asked = self._waiting.take((radio, action, number), now) if number is not None else None
        return [asked.answer("refused" if reason else "accepted", reason)] if asked else []


def lrrp_number(request_id: bytes | None) -> int | None:
    """The number of our request; None for one that is not ours."""
    return request_id[1] if request_id is not None and len(request_id) == 2 and request_id[0] == LRRP_MARK else None

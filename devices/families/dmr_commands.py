"""What a DMR radio can be asked for, in datagrams, and which of its answers belongs to what was asked. Used by dmr.py.

A radio is asked in the way in which it was last heard: a Motorola radio at its own address, a Hytera radio at the
repeater or address it spoke from. Hytera has a port for each service (registration 30001, location 30003, text 30007;
the second slot of a repeater one more): a radio is asked on the port where it used that service, else on the one that
stands as far from the port it was heard on, else on that port.

What the answers mean: a location confirms `locate`, a status `ping`; an acknowledgement accepts `text`, an answer
without an error `track`. One that was not heard yet cannot be asked.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

from devices.asked import Asked as Command
from devices.asked import Waiting, check_args, until, whole
from devices.families import dmr_hytera as hytera
from devices.families import dmr_lrrp as lrrp
from devices.families import dmr_motorola as motorola
from devices.family import CommandKind, CommandRefused, DeviceCommand
from devices.observation import CommandAnswer, CommandOutcome

TEXT_CHARS_MAX = 200
RADIOS_MAX = 5_000
COMMANDS = (
    CommandKind(name="locate", meaning="asks the radio where it is"),
    CommandKind(name="text", meaning="sends a text to the radio", args={"text": f"up to {TEXT_CHARS_MAX} characters"}),
    CommandKind(name="ping", meaning="asks the radio whether it is there"),
    CommandKind(
        name="track",
        meaning="has a Motorola radio tell where it is again and again",
        args={"every_s": "seconds, 10 to 86400; 0 ends it"},
    ),
)
KINDS = {kind.name: kind for kind in COMMANDS}
LRRP_MARK = 0x47  # first byte of our request ids, to tell them from those of other systems
SUBSCRIPTION = b"\x00\x00\x00\x01"  # request id under which radios report by themselves: the last such request counts
SERVICES = {"locate": hytera.LP, "text": hytera.TMP, "ping": hytera.RRS}
SLOT_PORTS = {hytera.RRS: 30_001, hytera.LP: 30_003, hytera.TMP: 30_007}
UNNUMBERED = 0


class Route(Struct, frozen=True):
    """Where a radio is reached. `channel` and `service`: on which it was heard (Hytera); `address` its four bytes;
    `channels`: of the services that it has used."""

    maker: Literal["hytera", "motorola"]
    peer: str
    channel: str
    address: bytes
    in_packet: bool = False
    service: int = 0
    channels: Mapping[int, str] = {}

    def channel_of(self, service: int) -> str:
        if service in self.channels:
            return self.channels[service]
        _, ours, peer = self.channel.split("/")
        host, _, theirs = peer.rpartition(":")
        first = SLOT_PORTS.get(self.service, 0)
        if int(ours) - first not in (0, 1):
            return self.channel
        step = SLOT_PORTS[service] - first
        return f"udp/{int(ours) + step}/{host}:{int(theirs) + (step if theirs == ours else 0)}"


class Ask(Struct, frozen=True):
    """A datagram to a radio; with `in_packet` it still needs HSTRP around it."""

    channel: str
    data: bytes
    in_packet: bool = False


class Asked:
    """The memory of one link: routes to radios, and commands that wait for their answer."""

    def __init__(self, dispatcher: int, ars_port: int, lrrp_port: int, tms_port: int) -> None:
        self._dispatcher = dispatcher
        self._ports = {"locate": lrrp_port, "track": lrrp_port, "text": tms_port, "ping": ars_port}
        self._routes: dict[str, Route] = {}
        self._waiting: Waiting[tuple[str, str, int]] = Waiting()  # radio, action, number
        self._number = 0

    def heard(self, radio: str, route: Route) -> None:
        before = self._routes.pop(radio, None)
        if len(self._routes) >= RADIOS_MAX:
            del self._routes[next(iter(self._routes))]
        same = before is not None and (before.maker, before.peer) == (route.maker, route.peer)
        known = before.channels if before is not None and same else {}
        self._routes[radio] = Route(
            route.maker,
            route.peer,
            route.channel,
            route.address,
            route.in_packet,
            route.service,
            {**known, route.service: route.channel},
        )

    def ask(self, command: DeviceCommand, now: datetime) -> Ask:
        """Raises CommandRefused."""
        check_args(KINDS, command)
        text = command.args.get("text", "")
        route = self._routes.get(command.native_id)
        if route is None:
            raise CommandRefused(f"radio {command.native_id} has not been heard yet")
        if command.action == "text" and not 0 < len(text) <= TEXT_CHARS_MAX:
            raise CommandRefused(f"the text is empty, or longer than {TEXT_CHARS_MAX} characters")
        number = self._number % 0x7F + 1  # a text has seven bits for it
        asked = (
            self._motorola(command, route, number)
            if route.maker == "motorola"
            else self._hytera(command, route, number)
        )
        self._number = number
        numbered = number if command.action in ("locate", "text") else UNNUMBERED
        self._waiting.add(
            (command.native_id, command.action, numbered), Command(command.nonce, command.action, until(now))
        )
        return asked

    def _motorola(self, command: DeviceCommand, route: Route, number: int) -> Ask:
        port = self._ports[command.action]
        channel = f"udp/{port}/{route.peer}:{port}"
        if command.action == "text":
            return Ask(channel, motorola.write_tms_text(number, command.args["text"]))
        if command.action == "ping":
            return Ask(channel, motorola.STATUS_QUERY)
        if command.action == "locate":
            return Ask(channel, lrrp.write_request(bytes((LRRP_MARK, number))))
        every_s = 0 if command.args.get("every_s") == "0" else whole(command.args, "every_s", 10, 86_400)
        return Ask(channel, lrrp.write_request(SUBSCRIPTION, every_s) if every_s else lrrp.write_stop(SUBSCRIPTION))

    def _hytera(self, command: DeviceCommand, route: Route, number: int) -> Ask:
        if command.action not in SERVICES:
            raise CommandRefused(f"{command.action}: how often a Hytera radio reports is set in its programme")
        service = SERVICES[command.action]
        request, ours = number.to_bytes(4), route.address[:1] + self._dispatcher.to_bytes(3)
        opcode, payload = {
            "locate": (hytera.LP_REQUEST, request + route.address),
            "text": (
                hytera.TMP_TEXT,
                request + route.address + ours + command.args.get("text", "").encode("utf-16-le"),
            ),
            "ping": (hytera.STATUS_CHECK, route.address),
        }[command.action]
        return Ask(route.channel_of(service), hytera.write_message(service, opcode, payload), route.in_packet)

    # --- answers ---

    def of_lrrp(self, radio: str, document: lrrp.Document, now: datetime) -> list[CommandAnswer]:
        request_id, result = document.first("request-id"), document.first("result")
        if request_id == SUBSCRIPTION and lrrp.base_id(document.id) in lrrp.TRIGGER_ANSWERS:
            asked = self._waiting.take((radio, "track", UNNUMBERED), now)
            return _answer(asked, "accepted", "the radio refused it" if result and result["code"] else "")
        if request_id is None or len(request_id) != 2 or request_id[0] != LRRP_MARK:
            return []
        asked = self._waiting.take((radio, "locate", request_id[1]), now)
        return _answer(asked, "confirmed", "" if lrrp.shape(document) else "no location")

    def of_status(self, radio: str, there: bool, now: datetime) -> list[CommandAnswer]:
        asked = self._waiting.take((radio, "ping", UNNUMBERED), now)
        return _answer(asked, "confirmed", "" if there else "not there")

    def of_text(self, radio: str, number: int | None, delivered: bool, now: datetime) -> list[CommandAnswer]:
        asked = self._waiting.take((radio, "text", number), now) if number is not None else None
        return _answer(asked, "accepted", "" if delivered else "not delivered")

    def of_hdap(self, radio: str, fields: hytera.Fields, now: datetime) -> list[CommandAnswer]:
        kind = fields["message"]
        if kind == "standard_report":
            asked = self._waiting.take((radio, "locate", fields["request_id"]), now)
            located = fields["gps_valid"] and not fields["result"]
            return _answer(asked, "confirmed", "" if located else "no location")
        if kind == "private_text_ack":
            return self.of_text(radio, fields["request_id"], not fields["result_code"], now)
        return self.of_status(radio, not fields["result"], now) if kind == "status_check_answer" else []


def _answer(asked: Command | None, result: CommandOutcome, reason: str) -> list[CommandAnswer]:
    """None when nobody asked; `reason`: why the radio refused."""
    return [asked.answer("refused" if reason else result, reason)] if asked else []

"""What a JT/T 808 terminal says to the commands it was sent. Pure but for its memory, which is bounded.

    0001   serial 2 | id 2 | result 1      0: accepted; 1 failed, 2 wrong, 3 unknown: refused
    0104   serial 2 | parameters           confirms that they were asked for; after a setting, that they are so
    0107   attributes, without a serial    confirms that they were asked for
    0201   serial 2 | location             confirms `locate`
    0500   serial 2 | location             confirms doors, when its status shows them so

Parameters that were accepted are read back. A terminal that cannot tell single ones (2011) leaves it at "accepted".
"""

from datetime import datetime

from devices.asked import Asked, Waiting
from devices.families.jt808_bodies import read_body
from devices.families.jt808_wire import Message, read_location
from devices.observation import CommandAnswer

GENERAL, PARAMETERS, ATTRIBUTES, LOCATED, CONTROLLED = 0x0001, 0x0104, 0x0107, 0x0201, 0x0500
READ_ATTRIBUTES, SET_PARAMETERS, READ_BACK = "read_attributes", "set_parameters", "read back"
OWN = {  # command -> message of the terminal's own that answers it
    "locate": LOCATED,
    "lock_doors": CONTROLLED,
    "unlock_doors": CONTROLLED,
    "read_parameters": PARAMETERS,
    READ_BACK: PARAMETERS,
    READ_ATTRIBUTES: ATTRIBUTES,
}
DOORS_LOCKED_BIT = 12
REASONS = {1: "the terminal failed to do it", 2: "the terminal cannot read it", 3: "the terminal does not know it"}
SPOKEN = frozenset({GENERAL, PARAMETERS, ATTRIBUTES, LOCATED, CONTROLLED})

Key = tuple[str, int]  # native id, our serial number; the message id where the answer names no serial number


class Answers:
    def __init__(self) -> None:
        self._waiting: Waiting[Key] = Waiting()

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, native_id: str, serial: int, asked: Asked) -> None:
        self._waiting.add((native_id, serial), asked)
        if asked.kind == READ_ATTRIBUTES:
            self._waiting.add((native_id, -ATTRIBUTES), asked)

    def read(self, native_id: str, message: Message, now: datetime) -> tuple[CommandAnswer | None, Asked | None]:
        """(answer, what to read back) of a message of the terminal."""
        if message.id == GENERAL:
            return self._general(native_id, message, now)
        serial = -ATTRIBUTES if message.id == ATTRIBUTES else int.from_bytes(message.body[:2])
        asked = self._waiting.find((native_id, serial), now)
        if asked is None or OWN.get(asked.kind) != message.id:
            return None, None
        self._waiting.forget(asked.nonce)
        return _own(message, asked), None

    def _general(self, native_id: str, message: Message, now: datetime) -> tuple[CommandAnswer | None, Asked | None]:
        fields = read_body(message)
        asked = self._waiting.find((native_id, fields.get("reply_serial", -1)), now)
        if asked is None:
            return None, None
        if fields["result"] == 0 and asked.kind in OWN:
            return (asked.answer("accepted") if asked.kind != READ_BACK else None), None
        self._waiting.forget(asked.nonce)
        if fields["result"] == 0:
            return asked.answer("accepted"), asked if asked.kind == SET_PARAMETERS else None
        if asked.kind == READ_BACK:
            return None, None
        return asked.answer("refused", REASONS.get(fields["result"], "the terminal refused it")), None


def _own(message: Message, asked: Asked) -> CommandAnswer:
    """An answer that is a message of its own."""
    if message.id == PARAMETERS and asked.kind == READ_BACK:
        held = dict(read_body(message).get("params", []))
        same = all(held.get(id_) == value for id_, value in asked.wanted.items())
        return asked.answer("confirmed") if same else asked.answer("refused", "the terminal holds other values")
    if message.id == CONTROLLED:
        location = read_location(message.body[2:])
        locked = str(location.status >> DOORS_LOCKED_BIT & 1) if location is not None else ""
        same = locked == asked.wanted.get("doors", "")
        return asked.answer("confirmed") if same else asked.answer("refused", "the doors are not so")
    return asked.answer("confirmed")

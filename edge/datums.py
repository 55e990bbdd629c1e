"""A link whose devices send positions in another datum: its results are in WGS-84 before anything looks at them.

The report's `frame_id` stays as the family made it, of the bytes as they came.
"""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from devices.datum import TO_WGS84, Datum
from devices.observation import Observation, Position, Result
from edge.flow import Taker
from edge.spool_file import SpoolError


class InWgs84(Struct, frozen=True):
    """Stands before the intake of one link."""

    intake: Taker
    datum: Datum

    def take(self, link: str, results: Sequence[Result], done: Callable[[SpoolError | None], None]) -> None:
        self.intake.take(link, [self._converted(result) for result in results], done)

    def _converted(self, result: Result) -> Result:
        if not isinstance(result, Observation) or not isinstance(result.body, Position):
            return result
        longitude, latitude = TO_WGS84[self.datum]((result.body.longitude, result.body.latitude))
        body = msgspec.structs.replace(result.body, longitude=longitude, latitude=latitude)
        return msgspec.structs.replace(result, body=body)


def in_wgs84(intake: Taker, datum: Datum) -> Taker:
    return intake if datum == "wgs84" else InWgs84(intake, datum)

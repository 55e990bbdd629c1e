"""One walk up to a gate: what the frames since a credential was presented come to. Pure; frames in, a Face out.

Rules
- The person is the largest face. A second one nearly as large makes a frame useless: staff can see who belongs to what.
- A frame of poor quality (too small, blurred, dark, rolled, covered) is asked for again; the threshold never gives way.
- Only faces that look like the one that the walk began with count. Whoever steps in for somebody else in mid-walk, or
  holds up a picture after the challenge, begins a new walk.
- The similarity is the median of at least FRAMES_MIN frames that look ahead, so that no single lucky frame lets in.
- Liveness: the challenge (edge.access.liveness) when it is asked for, else the word of a passive model by majority. One
  that says spoof outweighs one that says live. What was not asked or not answered in time is "not_checked".
- It ends: with a result as soon as everything asked for is there, otherwise WALK_S_MAX after it began.
"""

from statistics import median
from typing import Literal

from msgspec import Struct

from edge.access.decision import Face, FaceStatus
from edge.access.liveness import AHEAD_MAX, Challenge, Landmarks, Liveness, Look, Side, judge, turn

FRAMES_MIN = 3
FRAMES_MAX = 120  # kept of one walk; later ones are not looked at
WALK_S_MAX = 12.0
SECOND_FACE = 0.5  # as a share of the area of the largest
SAME_PERSON_MIN = 0.35  # cosine to the first frame, also with the head turned

Fault = Literal["too_small", "blurred", "dark", "bright", "rolled", "covered"]
Ask = Literal[
    "look_here", "come_closer", "one_at_a_time", "more_light", "hold_still", "turn_left", "turn_right", "wait"
]
ASKED_BY_FAULT: dict[Fault, Ask] = {
    "too_small": "come_closer",
    "blurred": "hold_still",
    "dark": "more_light",
    "bright": "more_light",
    "rolled": "look_here",
    "covered": "look_here",
}


class Seen(Struct, frozen=True, kw_only=True):
    """A face in a frame. `area` in pixels²; `similarity` to the template of whoever the credential belongs to, and
    `same_as_first` to the walk's first good face (None for that one): cosines."""

    area: float
    landmarks: Landmarks
    faults: tuple[Fault, ...] = ()
    similarity: float | None = None
    same_as_first: float | None = None
    passive: Liveness = "not_checked"


class Walk:
    """`challenge_side`: to be drawn by whoever begins the walk; None asks for no turn of the head."""

    def __init__(self, began_at: float, challenge_side: Side | None) -> None:
        self.began_at = began_at
        self._side = challenge_side
        self._challenge: Challenge | None = None
        self._good: list[tuple[float, Seen]] = []
        self._frames = 0
        self._faults: tuple[Fault, ...] = ()
        self._status: FaceStatus = "no_face"
        self._changed_person = False

    def frame(self, at: float, faces: list[Seen]) -> None:
        """What was seen at `at` (seconds); later frames come later."""
        self._frames += 1
        if self._frames > FRAMES_MAX or not faces:
            return
        largest, *rest = sorted(faces, key=lambda face: -face.area)
        if rest and rest[0].area >= SECOND_FACE * largest.area:
            self._status = "several_faces"
            return
        self._faults = largest.faults
        if largest.faults:
            self._status = self._status if self._good else "low_quality"
            return
        if largest.same_as_first is not None and largest.same_as_first < SAME_PERSON_MIN:
            self._changed_person = True
            return
        self._good.append((at, largest))
        if self._challenge is None and self._side is not None and len(self._ahead()) >= FRAMES_MIN:
            self._challenge = Challenge(self._side, at)

    @property
    def changed_person(self) -> bool:
        """Somebody else stands there now: begin a new walk."""
        return self._changed_person

    def asks(self) -> Ask:
        """What to show to the person."""
        if self._status == "several_faces" and not self._good:
            return "one_at_a_time"
        if self._faults:
            return ASKED_BY_FAULT[self._faults[0]]
        if len(self._ahead()) < FRAMES_MIN:
            return "look_here"
        if self._challenge is not None and self._liveness() == "not_checked":
            return "turn_left" if self._side == "left" else "turn_right"
        return "wait"

    def result(self, now: float) -> Face | None:
        """What it came to; None while it goes on."""
        enough = len(self._ahead()) >= FRAMES_MIN
        lives = self._liveness()
        over = now - self.began_at >= WALK_S_MAX or self._frames >= FRAMES_MAX
        if not over and not self._changed_person and not (enough and (lives != "not_checked" or self._side is None)):
            return None
        if self._changed_person:
            return Face("another_person", None, lives)
        if not enough:
            return Face("low_quality" if self._good else self._status, None, lives)
        values = [seen.similarity for seen in self._ahead() if seen.similarity is not None]
        return (
            Face("compared", median(values), lives) if len(values) >= FRAMES_MIN else Face("not_checked", None, lives)
        )

    def _ahead(self) -> list[Seen]:
        return [seen for _, seen in self._good if abs(turn(seen.landmarks)) <= AHEAD_MAX]

    def _liveness(self) -> Liveness:
        said = [seen.passive for _, seen in self._good]
        spoofs, lives = said.count("spoof"), said.count("live")
        passive: Liveness = "not_checked"
        if spoofs + lives >= FRAMES_MIN:
            passive = "spoof" if spoofs * 2 >= spoofs + lives else "live"
        active: Liveness = "not_checked"
        if self._challenge is not None:
            active = judge(self._challenge, [Look(at, seen.landmarks) for at, seen in self._good])
        if "spoof" in {passive, active}:
            return "spoof"
        if self._side is not None:  # it was asked for: the passive word alone is not enough
            return active
        return passive

"""What the topics of ONVIF events mean: a table by the topic's beginning, and how each kind of meaning is read.

Names after ONVIF Core, Imaging, Analytics, Access Control and Door Control service specifications, and Axis.
"""

from msgspec import Struct

from devices.families.onvif_wire import Notification

IGNORED_OPERATION = ("Initialized", "Deleted")  # no news: nothing happened now
REASON_CHARS_MAX = 60


class Meaning(Struct, frozen=True, kw_only=True):
    """`alarm`: kind that is raised while the property is true, or at the moment of the event. `values`: kinds by the
    value of `item`, whose other values clear them. `event`: kind of the Event, whose `attributes` add to what it says.
    """

    alarm: str = ""
    values: dict[str, str] = {}
    item: str = "State"
    kind: str = ""
    kinds: dict[str, str] = {}
    fixed: dict[str, str] = {}

    def alarms(self, event: Notification) -> dict[str, bool]:
        """Alarm kind -> whether it is raised; nothing of what cannot be told."""
        over = event.operation == "Deleted"
        found: dict[str, bool] = {}
        if self.alarm:
            state = event.active if event.operation else event.active is not False
            found |= {self.alarm: bool(state) and not over} if over or state is not None else {}
        said = event.data.get(self.item)
        if self.values and (over or said is not None):
            found |= dict.fromkeys(self.values.values(), False)
            if said in self.values and not over:
                found[self.values[said]] = True
        return found

    def event(self, event: Notification) -> tuple[str, dict[str, str]] | None:
        """Kind and attributes of the Event; None when it makes none."""
        said = event.data.get(self.item, "")
        if said in self.kinds:
            return self.kinds[said], {}
        if not self.kind:
            return None
        return self.kind, {**self.fixed, **_told(self.kind, self.item, event)}


def _told(kind: str, item: str, event: Notification) -> dict[str, str]:
    """What an Event of that kind says about itself."""
    if kind == "access":
        door = event.source.get("DoorToken") or event.source.get("AccessPointToken", "")
        reason = event.data.get("Reason", "")
        return {key: text for key, text in (("door", door), ("reason", reason[:REASON_CHARS_MAX])) if text}
    if kind == "state":
        return {item: event.data[item]} if item in event.data else {}
    if event.active is None:
        return {}
    word = "yes" if event.active else "no"
    return {"seen": word} if kind == "motion" else {"state": word}


GRANTED, REFUSED = {"granted": "yes"}, {"granted": "no"}

TOPICS: dict[str, Meaning] = {
    "RuleEngine/CellMotionDetector": Meaning(kind="motion"),
    "RuleEngine/MotionRegionDetector": Meaning(kind="motion"),
    "VideoSource/MotionAlarm": Meaning(kind="motion"),
    "Device/axis:Sensor/PIR": Meaning(kind="motion"),
    "axis:CameraApplicationPlatform/VMD": Meaning(kind="motion"),
    "axis:CameraApplicationPlatform/MotionGuard": Meaning(kind="motion"),
    "axis:CameraApplicationPlatform/ObjectAnalytics": Meaning(kind="motion"),
    "RuleEngine/FieldDetector": Meaning(alarm="intrusion"),
    "RuleEngine/LineDetector": Meaning(alarm="intrusion"),
    "axis:CameraApplicationPlatform/FenceGuard": Meaning(alarm="intrusion"),
    "RuleEngine/LoiteringDetector": Meaning(alarm="loitering"),
    "axis:CameraApplicationPlatform/LoiteringGuard": Meaning(alarm="loitering"),
    "RuleEngine/TamperDetector": Meaning(alarm="tamper"),
    "VideoSource/GlobalSceneChange": Meaning(alarm="tamper"),
    "VideoSource/axis:Tampering": Meaning(alarm="tamper"),
    "VideoSource/Tampering": Meaning(alarm="tamper"),
    "Device/axis:Tampering": Meaning(alarm="tamper"),
    "Device/axis:Casing": Meaning(alarm="tamper"),
    "VideoSource/ImageTooDark": Meaning(alarm="supervisory"),
    "VideoSource/ImageTooBright": Meaning(alarm="supervisory"),
    "VideoSource/ImageTooBlurry": Meaning(alarm="supervisory"),
    "VideoSource/SignalLoss": Meaning(alarm="video_loss"),
    "Device/Trigger/DigitalInput": Meaning(alarm="input_active"),
    "Device/axis:IO/Port": Meaning(alarm="input_active"),
    "Device/axis:IO/VirtualInput": Meaning(alarm="input_active"),
    "Device/axis:IO/SupervisedPort": Meaning(alarm="tamper"),
    "Device/Trigger/Relay": Meaning(kind="output"),
    "Device/HardwareFailure": Meaning(alarm="fault"),
    "axis:Storage/Alert": Meaning(alarm="fault"),
    "UserAlarm": Meaning(alarm="supervisory"),
    "AudioAnalytics/Audio/DetectedSound": Meaning(kind="sound"),
    "AudioSource/axis:TriggerLevel": Meaning(kind="sound"),
    "AccessControl/AccessGranted": Meaning(kind="access", fixed=GRANTED),
    "AccessControl/AccessTaken": Meaning(kind="access", fixed={**GRANTED, "taken": "yes"}),
    "AccessControl/AccessNotTaken": Meaning(kind="access", fixed={**GRANTED, "taken": "no"}),
    "AccessControl/Denied": Meaning(kind="access", fixed=REFUSED),
    "AccessControl/Request": Meaning(kind="access", fixed={"granted": "undecided"}),
    "AccessControl/Duress": Meaning(alarm="duress"),
    "Door/State/DoorAlarm": Meaning(values={"DoorForcedOpen": "door_forced", "DoorOpenTooLong": "door_held_open"}),
    "Door/State/DoorPhysicalState": Meaning(
        values={"Fault": "lock_fault"}, kinds={"Open": "door_opened", "Closed": "door_closed"}
    ),
    "Door/State/LockPhysicalState": Meaning(
        values={"Fault": "lock_fault"}, kinds={"Locked": "locked", "Unlocked": "unlocked"}
    ),
    "Door/State/DoorTamper": Meaning(values={"TamperDetected": "tamper"}),
    "Door/State/DoorFault": Meaning(values={"FaultDetected": "lock_fault"}),
    "Door/State/DoorMode": Meaning(kind="state"),
}

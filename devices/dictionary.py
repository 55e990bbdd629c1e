"""The one table of metrics, alarms and events: name, unit, range, priority. docs/dictionary.md is generated from it.

Priorities: 0 life safety, 1 security and SOS, 2 faults and supervision, 3 state, 4 telemetry.
A value outside a metric's range is not published: the decoder leaves it out, as it does what was not measured.
"""

from msgspec import Struct

P0, P1, P2, P3, P4 = range(5)


class Metric(Struct, frozen=True):
    name: str
    unit: str  # UCUM where it has one
    low: float
    high: float
    meaning: str


class AlarmKind(Struct, frozen=True):
    """`group` is what correlation joins on; `latching` alarms are cleared by people, never by the sensor alone."""

    name: str
    priority: int
    group: str
    latching: bool
    meaning: str


class EventKind(Struct, frozen=True):
    name: str
    priority: int
    meaning: str


_METRICS = (
    Metric("battery_percent", "%", 0, 100, "charge of the device's own battery"),
    Metric("heart_rate_bpm", "/min", 20, 300, "heart rate"),
    Metric("systolic_mmhg", "mm[Hg]", 30, 300, "systolic blood pressure"),
    Metric("diastolic_mmhg", "mm[Hg]", 20, 200, "diastolic blood pressure"),
    Metric("spo2_percent", "%", 30, 100, "oxygen saturation"),
    Metric("body_temperature_c", "Cel", 25, 45, "body temperature"),
    Metric("steps", "1", 0, 1e7, "steps counted today"),
    Metric("tumbles", "1", 0, 1e7, "rolls counted by a band"),
    Metric("cell_signal_percent", "%", 0, 100, "mobile network signal"),
    Metric("cell_signal_level", "1", 0, 255, "mobile network signal, vendor scaled (JT/T 808 item 30)"),
    Metric("gnss_satellites", "1", 0, 255, "satellites in use"),
    Metric("mileage_km", "km", 0, 1e8, "distance counter of a vehicle"),
    Metric("fuel_l", "L", 0, 1e5, "fuel in the tank"),
    Metric("recorder_speed_kmh", "km/h", 0, 1000, "speed from the driving recorder"),
    Metric("cabin_temperature_c", "Cel", -100, 200, "cabin temperature"),
    Metric(
        "vehicle_signals", "1", 0, 2**32 - 1, "lights, horn, brake and others of a vehicle, bits of JT/T 808 item 25"
    ),
    Metric("vehicle_io_status", "1", 0, 65_535, "sleep states of a vehicle terminal, bits of JT/T 808 item 2A"),
    Metric("vehicle_analog_0", "1", 0, 65_535, "first analog input of a vehicle terminal, not scaled"),
    Metric("vehicle_analog_1", "1", 0, 65_535, "second analog input of a vehicle terminal, not scaled"),
    Metric("component_event_count", "1", -32768, 32767, "event counter of a fire system component"),
    Metric("height_m", "m", -400, 400, "liquid level or height"),
    Metric("temperature_c", "Cel", -200, 3300, "temperature at a component"),
    Metric("pressure_mpa", "MPa", -3300, 3300, "pressure (fire water)"),
    Metric("pressure_kpa", "kPa", -3300, 3300, "pressure (air, gas)"),
    Metric("gas_percent_lel", "%", 0, 100, "combustible gas, percent of the lower explosive limit"),
    Metric("time_s", "s", -32768, 32767, "time measured by a component"),
    Metric("voltage_v", "V", -3300, 3300, "voltage"),
    Metric("current_a", "A", -3300, 3300, "current"),
    Metric("flow_l_s", "L/s", -3300, 3300, "water flow"),
    Metric("air_flow_m3_min", "m3/min", -3300, 3300, "air flow"),
    Metric("wind_speed_m_s", "m/s", 0, 200, "wind speed"),
    Metric("humidity_percent", "%", 0, 100, "relative humidity"),
    Metric("soil_moisture_percent", "%", 0, 100, "moisture of soil or material"),
    Metric("illuminance_lx", "lx", 0, 200_000, "illuminance"),
    Metric("uv_index", "1", 0, 50, "ultraviolet index"),
    Metric("co_ppm", "[ppm]", 0, 10_000, "carbon monoxide"),
    Metric("co2_ppm", "[ppm]", 0, 100_000, "carbon dioxide"),
    Metric("nh3_ppm", "[ppm]", 0, 10_000, "ammonia"),
    Metric("h2s_ppm", "[ppm]", 0, 10_000, "hydrogen sulphide"),
    Metric("pm2_5_ug_m3", "ug/m3", 0, 65_535, "fine dust up to 2.5 micrometres"),
    Metric("pm10_ug_m3", "ug/m3", 0, 65_535, "fine dust up to 10 micrometres"),
    Metric("voc_ug_m3", "ug/m3", 0, 1e6, "volatile organic compounds"),
    Metric("formaldehyde_mg_m3", "mg/m3", 0, 1_000, "formaldehyde"),
    Metric("smoke_percent", "%", 0, 100, "smoke by the detector's own scale"),
    Metric("distance_m", "m", 0, 10_000, "distance to the next surface or object"),
    Metric("wind_direction_deg", "deg", 0, 360, "direction the wind comes from"),
    Metric("rainfall_mm", "mm", 0, 1e6, "rain since the counter began"),
    Metric("power_w", "W", -1e9, 1e9, "electric power"),
    Metric("energy_kwh", "kW.h", 0, 1e12, "electric energy since the counter began"),
    Metric("weight_kg", "kg", 0, 1_000, "weight"),
    Metric("mean_arterial_mmhg", "mm[Hg]", 20, 300, "mean arterial blood pressure"),
    Metric("people_count", "1", 0, 1e6, "people present"),
    Metric("people_in", "1", 0, 1e9, "people who came in, by the device's counter"),
    Metric("people_out", "1", 0, 1e9, "people who went out, by the device's counter"),
    Metric("signal_dbm", "dB[mW]", -200, 50, "strength of the received radio signal"),
    Metric("signal_noise_db", "dB", -100, 100, "signal to noise ratio of the radio link"),
    Metric("link_quality", "1", 0, 255, "quality of the radio link, vendor scaled"),
    Metric("spool_rows", "1", 0, 1e9, "rows waiting in a gateway's spool"),
    Metric("resident_memory_mb", "MBy", 0, 1e6, "resident memory of a gateway process"),
    Metric("links_connected", "1", 0, 1e6, "device connections open on a gateway"),
    Metric("disk_free_mb", "MBy", 0, 1e9, "free disk space beside a gateway's spool"),
    Metric("rejected_frames", "1", 0, 1e12, "frames rejected since the gateway started"),
    Metric("clock_skew_s", "s", -1e9, 1e9, "gateway clock minus hub clock"),
)

_ALARMS = (
    AlarmKind("fire", P0, "fire", True, "fire alarm of a fire system or component"),
    AlarmKind("smoke", P0, "fire", True, "smoke detector in alarm"),
    AlarmKind("heat", P0, "fire", True, "heat detector in alarm"),
    AlarmKind("gas", P0, "fire", True, "combustible gas detector in alarm"),
    AlarmKind("carbon_monoxide", P0, "fire", True, "carbon monoxide detector in alarm"),
    AlarmKind("manual_call_point", P0, "fire", True, "call point or hydrant button pressed, or fire reported by hand"),
    AlarmKind("sos", P1, "person", True, "a person asked for help"),
    AlarmKind("fall", P1, "person", True, "a person fell"),
    AlarmKind("unspecified_alarm", P1, "person", True, "a person-worn device raised an alarm without saying which"),
    AlarmKind("duress", P1, "person", True, "a person under threat asked for help without being noticed"),
    AlarmKind("tamper", P1, "security", True, "device opened, moved, covered or stolen"),
    AlarmKind("intrusion", P1, "security", True, "a person or vehicle where none may be"),
    AlarmKind("door_forced", P1, "security", True, "a door or gate opened without right"),
    AlarmKind("watchlist_match", P1, "security", True, "a camera saw someone or something on a watchlist"),
    AlarmKind("left_object", P1, "security", True, "an object left behind or taken away"),
    AlarmKind(
        "network_intrusion", P1, "security", True, "a message under a wrong key or an old counter, or a stranger"
    ),
    AlarmKind("water_leak", P1, "water", False, "water where none may be"),
    AlarmKind("collision", P1, "vehicle", True, "collision or rollover"),
    AlarmKind("danger", P1, "vehicle", True, "danger warning of a vehicle terminal"),
    AlarmKind("illegal_movement", P1, "vehicle", True, "vehicle moved, started or opened without right"),
    AlarmKind("zone_violation", P1, "vehicle", False, "terminal reports entering or leaving an area or route"),
    AlarmKind("route_deviation", P1, "vehicle", False, "terminal reports having left its route"),
    AlarmKind("door_held_open", P2, "security", False, "a door or gate open for longer than it may be"),
    AlarmKind("loitering", P2, "security", False, "someone stays where people pass"),
    AlarmKind("crowd", P2, "security", False, "people gather or run"),
    AlarmKind("overspeed", P2, "vehicle", False, "over the speed limit"),
    AlarmKind("fatigue", P2, "vehicle", False, "driver fatigue or driving time over the limit"),
    AlarmKind("parking_timeout", P2, "vehicle", False, "parked too long"),
    AlarmKind("off_wrist", P2, "supervision", False, "band taken off"),
    AlarmKind("left_fence", P2, "person", False, "band reports having left its own fence"),
    AlarmKind("entered_fence", P3, "person", False, "band reports having entered its own fence"),
    AlarmKind("fault", P2, "fault", False, "fault of a device, component or system"),
    AlarmKind("power_fault", P2, "fault", False, "main or backup power fault"),
    AlarmKind("low_battery", P2, "fault", False, "battery low"),
    AlarmKind("lock_fault", P2, "fault", False, "a bolt is neither locked nor unlocked, or does not move"),
    AlarmKind("bus_fault", P2, "fault", False, "detection line or bus fault"),
    AlarmKind("communication_fault", P2, "fault", False, "channel to the monitoring centre at fault"),
    AlarmKind("gnss_fault", P2, "fault", False, "positioning module or antenna at fault"),
    AlarmKind("video_loss", P2, "fault", False, "a camera without picture"),
    AlarmKind("input_active", P2, "supervision", False, "an input that the installer wired is active"),
    AlarmKind("shielded", P2, "supervision", False, "component isolated (shielded)"),
    AlarmKind("supervisory", P2, "supervision", False, "supervised condition off normal"),
    AlarmKind("lost_contact", P2, "supervision", False, "device silent for longer than its family allows"),
)

_EVENTS = (
    EventKind("reset", P3, "fire system reset"),
    EventKind("mute", P3, "sounder muted"),
    EventKind("manual_alarm", P3, "alarm raised by hand at the panel"),
    EventKind("alarm_cleared", P3, "alarm cleared at the panel"),
    EventKind("self_test", P3, "self test started"),
    EventKind("confirm", P3, "operator confirmed (for a transmission device: answered a duty check)"),
    EventKind("test", P3, "test mode"),
    EventKind("state", P3, "state report: attributes hold the flags that are set"),
    EventKind("armed", P3, "intrusion system or a part of it armed"),
    EventKind("disarmed", P3, "intrusion system or a part of it disarmed"),
    EventKind("started", P3, "component or system started"),
    EventKind("feedback", P3, "component feedback"),
    EventKind("software_version", P3, "software version reported"),
    EventKind("configuration", P3, "configuration text reported"),
    EventKind("device_time", P3, "device clock reported"),
    EventKind("registered", P3, "terminal registered"),
    EventKind("authenticated", P3, "terminal authenticated"),
    EventKind("logout", P3, "terminal logged out"),
    EventKind("driver_card", P3, "driver card inserted or removed"),
    EventKind("attributes", P3, "terminal attributes reported"),
    EventKind("answer", P3, "device answered a command"),
    EventKind("door_opened", P3, "a door, gate or window opened"),
    EventKind("door_closed", P3, "a door, gate or window closed"),
    EventKind("zone_entered", P3, "a device, or whoever carries it, entered a zone: attributes say since when and why"),
    EventKind("zone_exited", P3, "it left the zone"),
    EventKind("zone_dwelt", P3, "it has been in the zone for as long as the zone's rules ask"),
    EventKind("zone_inside", P3, "it is in the zone still, told again and again"),
    EventKind("zone_overstayed", P3, "it has been in the zone for longer than allowed"),
    EventKind("zone_lost", P3, "nothing was heard of it in the zone for longer than allowed"),
    EventKind("zone_too_fast", P3, "it moves faster than allowed in the zone"),
    EventKind("zone_stopped", P3, "it stopped in the zone for longer than allowed"),
    EventKind("zone_crossed", P3, "it crossed the zone between two positions"),
    EventKind("zone_approaching", P3, "it is on the way to the zone: attributes say when it will be there"),
    EventKind("zone_left_corridor", P2, "it left its corridor before the end"),
    EventKind("zone_wrong_way", P2, "it goes along the corridor against its direction"),
    EventKind("zone_missed_checkpoint", P2, "a checkpoint of its corridor was passed by, or not passed in time"),
    EventKind("zone_too_many", P2, "more are in the zone than allowed: told of the one who came last"),
    EventKind("zone_eased", P3, "no longer too many are in the zone"),
    EventKind("zone_met", P3, "it met another one: attribute `other`"),
    EventKind("zone_separated", P3, "they are apart again"),
    EventKind("locked", P3, "a lock was locked"),
    EventKind("unlocked", P3, "a lock was unlocked"),
    EventKind(
        "access",
        P3,
        "a passage, or one refused: attributes hold granted, door, credential, reason, direction; never who",
    ),
    EventKind("read_error", P3, "a credential that could not be read"),
    EventKind("login_failed", P2, "someone tried to log in at a device"),
    EventKind(
        "detection", P3, "a camera recognised a person, face or vehicle: attributes hold what and where; never who"
    ),
    EventKind("sound", P3, "an unusual sound"),
    EventKind("output", P3, "an output of a device was switched: attributes hold its state"),
    EventKind("motion", P3, "movement or presence seen (attribute `seen` yes or no)"),
    EventKind("button", P3, "a button was pressed: attributes hold which and how"),
    EventKind("joined", P3, "a device joined its radio network"),
    EventKind("left", P3, "a device left its radio network"),
    EventKind("tracked_object", P3, "a camera follows an object: attributes hold label, zones and phase"),
    EventKind("camera_review", P3, "a camera recording to look at: attributes hold severity, labels and zones"),
    EventKind("text_message", P3, "a person sent a text: attributes hold it"),
    EventKind("unknown_report", P3, "a well-formed report of a type not read yet; attributes hold its type or the hex"),
    EventKind("unknown_device", P2, "a device that is not enrolled knocked"),
    EventKind("actuator", P3, "an actuator was driven: attributes hold name, state and cause"),
    EventKind("started_up", P3, "a gateway started"),
    EventKind("spool_set_aside", P2, "rows of a gateway could not be read any more: attributes hold which"),
)

METRICS = {metric.name: metric for metric in _METRICS}
ALARMS = {alarm.name: alarm for alarm in _ALARMS}
EVENTS = {event.name: event for event in _EVENTS}
FIRE_GROUP = "fire"


def alarm_priority(kind: str) -> int:
    """Priority of an alarm kind. A kind this version does not know is treated as P1: too loud, never too quiet."""
    known = ALARMS.get(kind)
    return known.priority if known else P1


def in_range(metric: str, value: float) -> bool:
    """Whether `value` may be published as `metric`; NaN and infinities never may."""
    known = METRICS.get(metric)
    return known is not None and known.low <= value <= known.high

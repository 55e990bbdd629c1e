"""Milesight sensors as tables, by model. Facts from the vendor's payload definitions; the notation: lorawan_tlv.py."""

from devices.families import lorawan_records as records
from devices.families.lorawan_tlv import (
    Table,
    bits,
    button,
    current_alarm,
    daylight,
    dwell,
    location,
    modbus,
    people_history,
    regions,
    serial_6_or_8,
    switches,
    table,
    text_36,
    tilt,
    tilt_flagged,
    wifi,
)

_COMMON = table(
    """
    FF01 ipso_version:ipso
    FF09 hardware_version:hardware
    FF0A firmware_version:firmware
    FF0B device_status:on
    FF0F lorawan_class:B=class
    FF16 sn:serial8
    FF08 sn:serial6
    FFFE reset_event:reset
    FFFF tsl_version:tsl
    0175 battery:B
    """
)
TEMPERATURE = "0367 temperature:h/10\n8367 temperature:h/10 temperature_alarm:B=alarm\n"
CLIMATE = TEMPERATURE + "0468 humidity:B/2\n"
CLIMATE_LOG = "20CE @history timestamp:I temperature:h/10 humidity:B/2\n"
LEAK = CLIMATE + "0500 leakage_status:B=leak\n"
LEAK_LOG = "20CE @history timestamp:I temperature:h/10 humidity:B/2 leakage_status:B=leak\n"
AIR_100 = CLIMATE + "056A activity:H\n0665 illumination:H infrared_and_visible:H infrared:H\n"
AIR_107 = AIR_100 + "077D co2:H\n087D tvoc:H\n0973 pressure:H/10\n"
AIR_300 = CLIMATE + "0500 pir:B=pir\n06CB light_level:B\n077D co2:H\n087D tvoc:H/100\n08E6 tvoc:H\n0973 pressure:H/10\n"
AIR_319 = AIR_300 + "0B7D pm2_5:H\n0C7D pm10:H\n0E01 buzzer_status:B=onoff\n"


def _air_log(more: str = "") -> str:
    """Two shapes: of the index of volatile compounds, and of micrograms."""
    kept = "@history timestamp:I temperature:h/10 humidity:H/2 pir:B=pir light_level:B co2:H tvoc:H{} pressure:H/10 "
    return f"20CE {kept.format('/100')}{more}\n21CE {kept.format('')}{more}\n"


DISTANCE = "0382 distance:h\n0400 position:B=tilt\n8382 distance:h distance_alarm:B=alarm\n"
BIN = (
    TEMPERATURE
    + """
    0482 distance:H
    0500 position:B=tilt
    8367 temperature:h/10 temperature_alarm:B=underscored
    8482 distance:H distance_alarm:B=underscored
    8800 disassembly_alarm:B=moved
"""
)
PROBE = """
    0367 temperature:h/10
    0468 humidity:B/2
    8367 +@event temperature:h/10 temperature_alarm:B=alarm
    8468 +@event humidity:B/2 humidity_alarm:B=alarm
    9367 +@event temperature:h/10 temperature_mutation:h/10 temperature_alarm:B=alarm
    9468 +@event humidity:B/2 humidity_mutation:B/2 humidity_alarm:B=alarm
    B367 @event temperature_sensor_status:B=sensor
    B468 @event humidity_sensor_status:B=sensor
    FFEB temperature_unit:B=unit
"""


def _two_probes(words: str) -> str:
    """Firmware of the second kind has more words for alarms."""
    return "".join(
        f"""0{at}00 magnet_chn{number}:B=magnet
        9{at}D7 temperature_chn{number}:h/10 temperature_chn{number}_mutation:h/10 temperature_chn{number}_alarm:B=alarm
        """
        + "".join(
            f"""0{at}{pair} {name}_chn{number}:h/10
            8{at}{pair} {name}_chn{number}:h/10 {name}_chn{number}_alarm:B={words}
            9{at}{pair} {name}_chn{number}:h/10 {name}_chn{number}_mutation:h/10 {name}_chn{number}_alarm:B={words}
            B{at}{pair} {name}_chn{number}_sensor_status:B=probefault
            """
            for pair, name in (("67", "temperature"), ("9A", "humidity"))
        )
        for number, at in ((1, 3), (2, 4))
    )


PEOPLE = """
    0367 temperature:h/10
    04CC total_in:H total_out:H
    05CC period_in:H period_out:H
    0AEF timestamp:I
    81EE current_sensitivity:B
    8367 temperature:h/10 temperature_alarm:B=hot
    84CC total_in:H total_out:H total_count_alarm:B=hot
    85CC period_in:H period_out:H period_count_alarm:B=hot
"""
DEVICE_3D = "FF1F firmware_version:dotted\nFF09 hardware_version:plain\nFF01 protocol_version:B\n"
LINES = "".join(
    f"""{3 * line:02X}D2 line_{line}_total_in:I
    {3 * line + 1:02X}D2 line_{line}_total_out:I
    {3 * line + 2:02X}CC line_{line}_period_in:H line_{line}_period_out:H
    {3 * line + 14:02X}D2 line_{line}_child_total_in:I
    {3 * line + 15:02X}D2 line_{line}_child_total_out:I
    {3 * line + 16:02X}CC line_{line}_child_period_in:H line_{line}_child_period_out:H
    """
    for line in (1, 2, 3, 4)
)
FLOWS = "".join(
    f"{at:02X}DA " + " ".join(f"{here}_to_{there}:H" for there in "abcd") + "\n" for at, here in enumerate("abcd", 9)
)
INPUTS = "".join(
    f"""0{at}00 gpio_input_{number}:B=onoff
    0{at}01 gpio_output_{number}:B=onoff
    0{at}C8 gpio_counter_{number}:I
    0{at + 2}02 {analog}:h/1000 {analog}_min:h/1000 {analog}_max:h/1000 {analog}_avg:h/1000
    0{at + 2}E2 {analog}:e {analog}_min:e {analog}_max:e {analog}_avg:e
    8{at + 2}E2 {analog}:e {analog}_min:e {analog}_max:e {analog}_avg:e {analog}_alarm:B=analog
    """
    for number, at, analog in ((1, 3, "analog_input_1"), (2, 4, "analog_input_2"))
)
CURRENTS = "".join(
    f"""{2 * phase + 1:02X}97 current_chn{phase}_total:I/100
    """
    for phase in (1, 2, 3)
)
WEATHER = """
    0584 wind_direction:h/10
    0673 pressure:H/10
    0792 wind_speed:H/10
    0877 rainfall_total:H/100 rainfall_counter:B
    08EC rainfall_total:I/100 rainfall_counter:B
    8673 pressure:H/10 pressure_alarm:B=alarm
    8792 wind_speed:H/10 wind_speed_alarm:B=alarm
    88EC rainfall_total:I/100 rainfall_counter:B rainfall_alarm:B=alarm
"""
WEATHER_LOG = "@history timestamp:I temperature:h/10 humidity:B/2 pressure:H/10 wind_direction:h/10 wind_speed:H/10"
ANGLES = "initial_angle_x:b initial_angle_y:b initial_angle_z:b "
ANGLES += "inclination_angle_x:b inclination_angle_y:b inclination_angle_z:b"

MAINS = """
    0374 voltage:H/10
    0480 active_power:I
    0581 power_factor:B
    0683 power_consumption:I
"""
SOCKET = f"""{MAINS}
    07C9 current:H
    0967 temperature:h/10
    8967 temperature:h/10 temperature_alarm:B=overheat
    9967 temperature:h/10 temperature_mutation:h/10 temperature_alarm:B=overheat
"""
SWITCHED = bits({"socket_status": (0, "onoff")})
MUTATION = "83D7 temperature:h/10 temperature_mutation:h/10 temperature_alarm:B=alarm\n"
PULSES = """
    0500 gpio:B=level
    05C8 pulse:I
    05E1 water_conv:H/10 pulse_conv:H/10 water:f
    8500 gpio:B=level gpio_alarm:B=gpioalarm
    85E1 water_conv:H/10 pulse_conv:H/10 water:f water_alarm:B=wateralarm
"""
VALVES = "04C8 valve_1_pulse:I\n06C8 valve_2_pulse:I\n0701 gpio_1:B=onoff\n0801 gpio_2:B=onoff\n"

_OWN: dict[str, Table] = {
    "am102": table(CLIMATE + CLIMATE_LOG),
    "am103": table(CLIMATE + CLIMATE_LOG.rstrip() + " co2:H\n077D co2:H"),
    "am104": table(AIR_100),
    "am107": table(AIR_107),
    "am307": table(AIR_300 + _air_log()),
    "am308": table(AIR_319 + _air_log("pm2_5:H pm10:H")),
    "am319-hcho-ir": table(AIR_319 + "0A7D hcho:H/100\n" + _air_log("pm2_5:H pm10:H hcho:H/100")),
    "am319-o3": table(AIR_319 + "0D7D o3:H/100\n" + _air_log("pm2_5:H pm10:H o3:H/100")),
    "at101": table(
        "0367 temperature:h/10\n0500 position:B=tilt\n0700 tamper_status:B=install\n"
        f"8367 temperature:h/10 temperature_alarm:B=abnormal\n089B {ANGLES}\n"
        f"20CE @history timestamp:I longitude:i/1000000 latitude:i/1000000 {ANGLES}",
        _06D9=wifi,
        _0488=location,
        _8488=location,
    ),
    "ct101-v2": table(
        "0397 total_current:I/100\n8967 temperature:h/10 temperature_alarm:B=hotter",
        _0498=records.maybe("current", 100, records.CURRENT_MISSING),
        _0499=records.maybe("current", 10, records.CURRENT_MISSING),
        _0967=records.maybe("temperature", 10, records.CURRENT_MISSING, signed=True),
        _8498=current_alarm("current", 100),
    ),
    "ct303-v2": table(
        CURRENTS + "8967 temperature:h/10 temperature_alarm:B=hotter",
        _0967=records.maybe("temperature", 10, records.CURRENT_MISSING, signed=True),
        **{
            f"_{2 * phase + 2:02X}99": records.maybe(f"current_chn{phase}", 10, records.CURRENT_MISSING)
            for phase in (1, 2, 3)
        },
        **{f"_8{2 * phase + 2}99": current_alarm(f"current_chn{phase}", 10) for phase in (1, 2, 3)},
    ),
    "em300-th": table(CLIMATE + CLIMATE_LOG),
    "em300-mcs": table(CLIMATE + "0600 magnet_status:B=magnet\n" + CLIMATE_LOG.rstrip() + " magnet_status:B=magnet"),
    "em300-mld": table(LEAK + LEAK_LOG),
    "em300-sld": table(LEAK + LEAK_LOG),
    "em300-zld": table(LEAK + LEAK_LOG),
    "em300-cl": table(
        "03ED liquid:B=liquid\n83ED liquid:B=liquid liquid_alarm:B=liquidalarm\n04EE calibration_result:B=calibration"
    ),
    "em300-di": table(CLIMATE + PULSES, _20CE=records.pulse_log, _21CE=records.water_log),
    "em310-tilt": table("", _03CF=tilt),
    "em310-udl": table(DISTANCE),
    "em320-th": table(CLIMATE + CLIMATE_LOG),
    "em320-tilt": table("", _03D4=tilt_flagged),
    "em400-mud": table(BIN),
    "em400-tld": table(BIN),
    "em400-udl": table(BIN),
    "em500-co2": table(
        CLIMATE + MUTATION + "057D co2:H\n0673 pressure:H/10\n"
        "20CE @history timestamp:I co2:H pressure:H/10 temperature:h/10 humidity:B/2"
    ),
    "em410-rdl": table(
        BIN + "9482 distance:H distance_mutation:h distance_alarm:B=alarm\n"
        "B482 distance:H distance_exception:B=blind\n"
        "20CE @history timestamp:I distance:H temperature:h/10 distance_mutation:h event:B"
    ),
    "em500-lgt": table("0394 illumination:I\n20CE @history timestamp:I illumination:I"),
    "em500-pp": table("037B pressure:H\n20CE @history timestamp:I pressure:H"),
    "em500-pt100": table(TEMPERATURE + MUTATION + "20CE @history timestamp:I temperature:h/10"),
    "em500-smtc": table(
        MUTATION + "0367 temperature:h/10\n0468 moisture:B/2\n04CA moisture:H/100\n057F electricity:H\n"
        "20CE @history timestamp:I electricity:H temperature:h/10 moisture:H/100"
    ),
    "em500-swl": table("0377 depth:H\n20CE @history timestamp:I depth:H"),
    "em500-udl": table(
        "0382 distance:H\n83E9 distance:H distance_mutation:h distance_alarm:B=alarm\n"
        "20CE @history timestamp:I distance:H"
    ),
    "gs101": table(
        "058E gas_status:B=gas\n0601 valve_status:B=onoff\n0701 relay_output_status:B=onoff\n"
        "0890 life_remain:I\nFF3F alarm:B=gasevent"
    ),
    "gs301": table(
        "0267 temperature:h/10\n0368 humidity:B/2",
        _047D=records.maybe("nh3", 100, records.GAS_MISSING),
        _057D=records.maybe("h2s", 100, records.GAS_MISSING),
        _067D=records.maybe("h2s", 1000, records.GAS_MISSING),
    ),
    "ts101": table(
        "0367 temperature:h/10\n8367 temperature:h/10 temperature_alarm:B=alarm\n"
        "9367 temperature:h/10 temperature_mutation:h/10 temperature_alarm:B=alarm\n"
        "20CE @history timestamp:I temperature:h/10"
    ),
    "ts201": table(PROBE, _20CE=records.probe_log, _FFA0=records.probe_id(records.PROBES, "sensor_{}", 0)),
    "ts201-v2": table(PROBE, _20CE=records.probe_log, _FFA0=records.probe_id(records.PROBES, "sensor_{}", 0)),
    "ts302": table(_two_probes("alarm")),
    "ts302-v2": table(
        _two_probes("channelalarm"),
        _20CE=records.channel_log(1),
        _21CE=records.channel_log(2),
        _FFA0=records.probe_id(records.CHANNEL_PROBES, "sensor_chn{}", 1),
    ),
    "uc501": table(
        INPUTS,
        _08DB=text_36,
        _FF0E=modbus(False),
        _800E=modbus(True),
        _FF14=records.analog_kind,
        _FF15=records.modbus_failed,
        _20DC=records.inputs_log,
        _20DD=records.modbus_log,
        _20E0=records.texts_log,
    ),
    "uc512": table(
        VALVES + "097B pressure:H\n21CE @history timestamp:I pressure:H",
        _0301=records.valve(1),
        _0501=records.valve(2),
        _20CE=records.valve_log,
    ),
    "uc521": table(
        VALVES + "097B pressure_1:H\n0A7B pressure_2:H\n0E01 valve_1_opening_duration:B\n"
        "0F01 valve_2_opening_duration:B",
        _03F6=records.ball_valve(1),
        _05F6=records.ball_valve(2),
    ),
    "vs121": table(
        DEVICE_3D + FLOWS + "05CC people_in:h people_out:h\n06CD people_count_max:B\n"
        "0DCC people_total_in:H people_total_out:H\n0EE4 region:B dwell_time_avg:H dwell_time_max:H\n"
        "0F85 timestamp:I\n10F7 line_in:H line_out:H\n"
        + "".join(
            f"{at:02X}D5 " + " ".join(f"region_{first + number}_count:B" for number in range(8)) + "\n"
            for at, first in ((7, 1), (8, 9))
        ),
        _04C9=regions,
        _FF08=serial_6_or_8,
    ),
    "vs132": table(
        DEVICE_3D
        + "03D2 total_counter_in:I\n04D2 total_counter_out:I\n05CC periodic_counter_in:H periodic_counter_out:H"
    ),
    "vs133": table(
        LINES
        + "FF1F firmware_version:v-dotted\nFF09 hardware_version:v-plain\n"
        + "0FE3 "
        + " ".join(f"region_{number}_count:B" for number in (1, 2, 3, 4))
        + "\n"
        + "1DE3 "
        + " ".join(f"region_{number}_child_count:B" for number in (1, 2, 3, 4))
        + "\n"
        + "50FC skip:skip node:B occlusion_alarm:B=occlusion",
        _10E4=dwell(""),
        _1EE4=dwell("_child"),
    ),
    "vs330": table("0282 distance:H\n038E occupancy:B=occupied\n048E calibration_status:B=calibration"),
    "vs340": table("0300 occupancy:B=occupied"),
    "vs341": table("0300 occupancy:B=occupied"),
    "vs350": table(PEOPLE, _20CE=people_history),
    "vs351": table(PEOPLE, _20CE=people_history),
    "vs360": table(
        "0175 battery_main:B\n0275 battery_node:B\n03F4 @event type:B=pair status:B=release\n0AEF timestamp:I\n"
        "04CC total_in:H total_out:H\n05CC period_in:H period_out:H\n"
        "84CC total_in:H total_out:H total_count_alarm:B=underscored\n"
        "85CC period_in:H period_out:H period_count_alarm:B=underscored",
        _20CE=people_history,
    ),
    "vs370": table("0300 occupancy:B=occupied\n0400 illuminance:B=brightness"),
    "ws101": table("", _FF2E=button),
    "ws201": table("0382 distance:H\n04D6 remaining:B"),
    "ws202": table("0300 pir:B=motion", _0400=daylight),
    "ws203": table(
        CLIMATE + "0500 occupancy:B=occupied\n"
        "20CE @history timestamp:I report_type:B=roomreport occupancy:B=occupied temperature:h/10 humidity:B/2"
    ),
    "ws301": table("0300 magnet_status:B=magnet\n0400 tamper_status:B=removed"),
    "ws302": table("", _055B=records.sound),
    "ws303": table("0300 leakage_status:B=leak"),
    "ws503": table("", _FF29=switches),
    "ws523": table(SOCKET, _0870=SWITCHED),
    "ws558": table(MAINS + "07C9 total_current:H", _0831=records.eight_switches),
    "wts506": table(
        CLIMATE + WEATHER + f"20CE {WEATHER_LOG} rainfall_total:H/100\n21CE {WEATHER_LOG} rainfall_total:I/100"
    ),
}

# Models that speak as another does, or as a part of it.
_ALIKE = {
    "am102": ("am102l",),
    "am103": ("am103l",),
    "am307": ("am307-v2",),
    "am308": ("am308-v2",),
    "am319-hcho-ir": ("am319-hcho",),
    "em300-di": ("em300-di-hall",),
    "am319-o3": ("am319-o3-ir",),
    "ct101-v2": ("ct101", "ct103", "ct103-v2", "ct105", "ct105-v2"),
    "ct303-v2": ("ct303", "ct305", "ct305-v2", "ct310", "ct310-v2"),
    "ts302": ("ts301",),
    "ts302-v2": ("ts301-v2",),
    "uc501": ("uc502",),
    "uc512": ("uc511",),
    "vs133": ("vs135",),
    "ws503": ("ws501", "ws502", *(f"ws50{keys}-{market}" for keys in (1, 2, 3) for market in ("cn", "eu", "us"))),
    "ws523": ("ws522", "ws525", "ws513", "ws515"),
    "wts506": ("wts305", "wts505"),
}
_OWN |= {name: _OWN[model] for model, names in _ALIKE.items() for name in names}

MODELS: dict[str, Table] = {name: _COMMON | own for name, own in _OWN.items()}

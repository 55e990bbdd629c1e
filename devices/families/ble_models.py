"""Advertisements of single models, read into the property names that Theengs and OpenMQTTGateway publish.

A gateway that decodes by itself publishes these properties; this table is for what comes undecoded. A row says who is
meant by which bytes, and where the properties stand: by places (ble_advert.py), by a layout (ble_layouts.py), or
always (`fixed`). `tempc` brings `tempf` with it. Rows are tried in order: what is more special stands first.
"""

import re
from collections.abc import Iterator
from typing import Any

from devices.families.ble_advert import Advert, Fields, Model, properties
from devices.families.ble_layouts import (
    apple,
    beacon,
    eddystone,
    feasy,
    govee,
    govee_air,
    govee_pair,
    inkbird,
    jaalee,
    kkm,
    moko,
    moko_plain,
    niu,
    qingping,
    ruuvi_1,
    ruuvi_2,
    sensirion,
    sensor_easy_magnet,
    shelly,
    shelly_encrypted,
    shelly_plain,
    switchbot_contact,
    switchbot_meter,
    switchbot_motion,
    tilt,
    xiaomi,
    xiaomi_lamp,
)

_FIX = {"cidc": False}
_SEEN = {"acts": True}
_TRACKED = {"track": True}
_DOOR = {"acts": True, "cont": True}
_PHONE = {"track": True, "prmac": True}
_PVVX = "tempc=s6:h/100 hum=s8:H/100 volt=s10:H/1000 batt=s12:B mac=s0:rmac"
_ATC = "tempc=s6:>h/10 hum=s8:B batt=s9:B volt=s10:>H/1000 mac=s0:mac"
_IBEACON = "mfid=m0:x2 uuid=m4:x16 major=m20:>H"
_QP, _CG = "Qingping", "ClearGrass/Qingping"
_LYW = "LYWSD03MMC/MJWSD05MMC"
_SHELLY = (
    ("SBDW", "2C", "Door/Window", "CTMO", (14,)),
    ("SBMO", "3Z", "Motion", "CTMO", (11,)),
    ("SBHT", "3C", "H&T", "THB", (10, 12)),
)


def _qingping_model(product: str, id_: str, brand: str, title: str, type_: str, **fixed: Any) -> Iterator[Model]:
    for kind in ("08", "48", "88", "c8"):
        yield Model(id_, brand, title, type_, f"s{kind}{product}", uuid="fdcd", fixed=fixed, reader=qingping)


def _xiaomi_model(product: str, id_: str, brand: str, title: str, type_: str, **fixed: Any) -> Model:
    """Products stand behind two bytes that say what follows."""
    return Model(id_, brand, title, type_, f"s....{product}", uuid="(fe95)?", fixed=fixed, reader=xiaomi)


# fmt: off
MODELS: tuple[Model, ...] = (
    _xiaomi_model("aa01", "LYWSDCGQ", "Xiaomi", "Mi Jia round", "THB"),
    _xiaomi_model("9800", "HHCCJCY01HHCC", "Xiaomi/VegTrug", "MiFlora", "PLANT"),
    Model("CGG1", _CG, "Round TH", "THB", "s", (15, 16, 18), "(Qingping|ClearGrass) Temp & RH", "fe95", fixed=_SEEN,
          reader=xiaomi),
    _xiaomi_model("df02", "JQJCY01YM", "Xiaomi", "Formaldehyde detector", "AIR"),
    _xiaomi_model("480b", "CGG1", _CG, "Round TH", "THB", acts=True),
    _xiaomi_model("5b04", "LYWSD02", "Xiaomi/Mijia", "e-ink Clock", "THB"),
    Model("MUE4094RT", "Xiaomi", "MiLamp", "CTMO", "s....dd03", uuid="fe95", fixed={"cont": True}, reader=xiaomi_lamp),
    *_qingping_model("04", "CGH1", _QP, "Contact Sensor", "CTMO", cont=True),
    *_qingping_model("07", "CGG1", _CG, "Round TH", "THB"),
    *_qingping_model("16", "CGG1", _CG, "Round TH", "THB"),
    *_qingping_model("09", "CGP1W", _CG, "Weather Station", "THBX"),
    *_qingping_model("0c", "CGC1/CGD1", _CG, "Alarm Clock", "THB"),
    *_qingping_model("0e", "CGDN1", _QP, "Air Monitor Lite", "AIR"),
    *_qingping_model("10", "CGDK2", _QP, "TH Lite", "THB"),
    *_qingping_model("12", "CGPR1", _QP, "Motion & Light", "CTMO", cont=True),
    *_qingping_model("18", "CGP23W", _CG, "Barometer Pro", "THBX"),
    *_qingping_model("5d", "CGP22C", _CG, "Thermo-Hygrometer CO2 Detector", "AIR"),
    Model("ABN03", "April Brother", "N03", "THBX", "sab03", (15,), fixed=_TRACKED,
          properties="mac=s2:mac batt=s8:B tempc=s9:h/8 hum=s11:H/2 lux=s13:H"),
    Model("IBS-TH1/TH2/P01B/ITH-12S", "Inkbird", "T(H) Sensor", "THB", "m", (9,), "[st]ps",
          fixed=_FIX | _SEEN, reader=inkbird),
    Model("ABTemp", "April Brother", "ABTemp", "BCON", "m4c000215b5b182c7eab14988aa99b5c1517008d9", (25,),
          properties=_IBEACON + " batt=m22:B tempc=m23:b txpower=m24:b", fixed=_TRACKED),
    Model("TILT", "Tilt", "Brewing Hydro- Thermometer", "THBX", "m4c000215a495bb..c5b14b44b5121370f02d74de", (25,),
          fixed=_FIX, reader=tilt),
    Model("TheengsIB02", "Theengs", "iBeacon Tracker", "TRACK", "m4c000215546865656e67732d69426561636f6e32", (25,),
          fixed=_FIX | _PHONE | {"device": "Theengs iBeacon Tracker"}),
    Model("TheengsIB01", "Theengs", "iBeacon Tracker", "TRACK", "m4c000215546865656e67732d69426561636f6e31", (25,),
          fixed=_FIX | _TRACKED | {"device": "Theengs iBeacon Tracker"}),
    *(Model("F525/F51C", "Jaalee", "TH sensor", "THB", f"m4c000215ebefd08370a247c89837e7b5634d{uuid}", (26,),
            properties="batt=m25:B", fixed=_SEEN, reader=jaalee) for uuid in ("f525", "f51c")),
    Model("IBEACON", "GENERIC", "iBeacon", "BCON", "m4c000215", (25,), properties=_IBEACON + " minor=m22:>H",
          reader=beacon),
    Model("H5072/75", "Govee", "Thermo-Hygrometer", "THB", "m88ec", (8,), "GVH507[25]",
          properties="batt=m6:B", fixed=_FIX | _SEEN, reader=govee_pair),
    Model("H5106", "Govee", "Smart Air Quality Monitor", "AIR", "m01000101", (8,), "GVH5106",
          fixed=_FIX | _SEEN, reader=govee_air),
    Model("H5100/01/02/04/05/74/77", "Govee", "Smart Thermo-Hygrometer", "THB", "m01000101", (8,), "GVH5",
          properties="batt=m7:B", fixed=_FIX | _SEEN, reader=govee),
    Model("H5074", "Govee", "Thermo-Hygrometer", "THB", "m88ec", (9,), "Govee_H5074",
          properties="tempc=m3:h/100 hum=m5:H/100 batt=m7:B", fixed=_FIX | _SEEN),
    Model("H5179", "Govee", "Thermo-Hygrometer", "THB", "m0188ec", (11,), "Govee_H5179",
          properties="tempc=m6:h/100 hum=m8:H/100 batt=m10:B", fixed=_FIX | _SEEN),
    Model("RuuviTag_RAWv1", "Ruuvi", "RuuviTag", "ACEL", "m990403", (16,), properties="volt=m14:>H/1000",
          fixed=_TRACKED, reader=ruuvi_1),
    Model("RuuviTag_RAWv2", "Ruuvi", "RuuviTag", "ACEL", "m990405", (26,), properties="mac=m20:mac",
          fixed=_TRACKED, reader=ruuvi_2),
    Model("TD1in1", "Blue Maestro", "Tempo Disc", "THBX", "m33010d", (12,), fixed=_TRACKED,
          properties="batt=m3:B tempc=m8:>h/10"),
    Model("TD3in1", "Blue Maestro", "Tempo Disc", "THBX", "m330117", (16,), fixed=_TRACKED,
          properties="batt=m3:B tempc=m8:>h/10 hum=m10:>H/10 tempc2_dp=m12:>h/10"),
    Model("TD4in1", "Blue Maestro", "Tempo Disc", "THBX", "m33011b", (16,), fixed=_TRACKED,
          properties="batt=m3:B tempc=m8:>h/10 hum=m10:>H/10 pres=m12:>H/10"),
    Model("MS-CDP", "GENERIC", "MS-CDP", "RMAC", "m060001", fixed={"device": "Microsoft advertising beacon"}),
    Model("TP35X/393", "ThermoPro", "TH Sensor", "THB", "mc2", (6,), "TP3[59]",
          properties="tempc=m1:h/10 hum=m3:B", fixed=_FIX | _SEEN),
    Model("T301", "Oria", "TH Sensor", "THB", "m55aa", (19,), "T301", fixed=_FIX | _SEEN,
          properties="mac=m4:mac tempc=m12:>h/100 hum=m14:>H/100 batt=m16:B"),
    Model("T201", "Oria", "TH Sensor", "THB", "m", name="T201", fixed=_FIX | _SEEN,
          properties="mac=m4:mac tempc=m12:>h/100 hum=m14:>H/100 batt=m16:B"),
    Model("BSDOO", "Otio/BeeWi", "Door & Window Sensor", "CTMO", "m0d0008", (7,),
          properties="open=m4:? batt=m6:B", fixed=_FIX | {"cont": True}),
    Model("SHT4X", "Sensirion", "TH Sensor", "THB", "md5060006", (10,), reader=sensirion),
    Model("SCD4X", "Sensirion", "MyCO₂/CO₂ Gadget", "AIR", "md506000a", (12,), reader=sensirion),
    Model("H10", "Polar", "Heart Rate Sensor", "BODY", "m6b00", (6,), "Polar H10", properties="bpm=m5:B"),
    Model("XOSSX2", "XOSS", "X2 Heart Rate Sensor", "BODY", "m04ff01", (6,),
          properties="batt=m3:B bpm=m5:B", fixed=_FIX),
    Model("APPLEWATCH", "Apple", "Apple Watch", "BODY", "m4c001005", (9,), properties="unlocked=m5&80", fixed=_PHONE),
    Model("APPLEDEVICE", "Apple", "Apple iPhone/iPad", "TRACK", "m4c0010....", fixed=_PHONE,
          reader=apple),
    Model("APPLE_CONTAT", "Apple", "Apple Continuity", "RMAC", "m4c0007", fixed={"device": "Apple device"}),
    Model("APPLE_CONTAT", "Apple", "Apple Continuity", "RMAC", "m4c0012", fixed={"device": "Apple device"}),
    Model("APPLE_CONT", "Apple", "Apple Continuity", "RMAC", "m4c00", fixed={"device": "Apple device"}),
    Model("ITAG", "iTAG", "Smart Tracker", "TRACK", "m", name="iTAG",
          fixed=_FIX | _SEEN | _TRACKED | {"device": "iTAG Tracker"}),
    *(Model("TILE", "Tile", "Smart Tracker", "TRACK", source, name=name, uuid=uuid,
            fixed=_FIX | _SEEN | _TRACKED | {"device": "Tile Tracker"}) for source, name, uuid in
      (("m", "Tile", ""), ("s", "Tile", ""), ("s", "", "feed"), ("s", "", "feec"), ("s", "", "fd84"))),
    Model("TICWATCHGTH", "Mobvoi", "TicWatch GTH (Pro)", "TRACK", "m", name="TicWatch GTH",
          fixed=_FIX | _SEEN | _TRACKED | {"device": "TicWatch GTH (Pro) Tracker"}),
    Model("GTAG", "Gigaset", "G-Tag", "TRACK", "m800102151234", (12,),
          fixed=_TRACKED | {"device": "Gigaset G-Tag Tracker"}),
    Model("ARANET4", "Aranet", "Aranet4 CO₂ Monitor", "AIR", "m0207", (24,), "Aranet4",
          properties="co2=m10:H tempc=m12:H/20 pres=m14:H/10 hum=m16:B batt=m17:B"),
    Model("THX1/W230150X", "SwitchBot", "Meter (Plus)", "THB", "m6909", (13,), "WoSensorTH",
          properties="mac=m2:mac", reader=switchbot_meter("m", 10)),
    *(Model("THX1/W230150X", "SwitchBot", "Meter (Plus)", "THB", "s[56][49]", (6,), uuid=uuid, fixed=_SEEN,
            properties="batt=s2:B", reader=switchbot_meter("s", 3)) for uuid in ("0d00", "fd3d")),
    Model("W340001X", "SwitchBot", "Outdoor Meter", "THB", "m", (14,), "WoIOSensorTH",
          properties="mac=m2:mac", reader=switchbot_meter("m", 10)),
    Model("W340001X", "SwitchBot", "Outdoor Meter", "THB", "s77", (3,), uuid="fd3d", properties="batt=s2:B"),
    *(Model("W110150X", "SwitchBot", "Motion Sensor", "CTMO", "s73", (6,), uuid=uuid, fixed=_DOOR,
            reader=switchbot_motion) for uuid in ("0d00", "fd3d")),
    *(Model("W120150X", "SwitchBot", "Contact Sensor", "CTMO", "s64", (9,), uuid=uuid, fixed=_DOOR,
            reader=switchbot_contact) for uuid in ("0d00", "fd3d")),
    Model("BOSCHNYON", "Bosch", "Nyon", "TRACK", "ma602", name="Nyon",
          fixed=_SEEN | _TRACKED | {"device": "Bosch Nyon Tracker"}),
    Model("CGG1_ATC1441", _CG, "Round TH", "THB", "s", (13,), "CGG_", "181a", properties=_ATC, fixed=_SEEN),
    Model("CGG1_PVVX", _CG, "Round TH", "THB", "s", (15,), "CGG_", "181a", properties=_PVVX, fixed=_SEEN),
    Model("CGDK2_PVVX", _CG, "TH Lite", "THB", "s", (15,), "CGDK2_", "181a", properties=_PVVX, fixed=_SEEN),
    Model("CGDK2_ATC1441", _CG, "TH Lite", "THB", "s", (13,), "CGDK", "181a", properties=_ATC, fixed=_SEEN),
    Model(f"{_LYW}_ATC", "Xiaomi", "TH Sensor", "THB", "s", (13,), "ATC_", "181a", properties=_ATC),
    Model(f"{_LYW}_PVVX", "Xiaomi", "TH Sensor", "THB", "s", (15,), "ATC_", "181a", properties=_PVVX),
    Model(f"{_LYW}_PVVX_DECR", "Xiaomi", "TH Sensor", "THB", "s", (6,), "ATC_", "181a",
          properties="tempc=s0:h/100 hum=s2:H/100 batt=s4:B"),
    Model(f"{_LYW}_PVVX_ENCR", "Xiaomi", "TH Sensor", "THB", "s", (11,), "", "181a",
          properties="ctr=s0:x1 cipher=s1:x6 mic=s7:x4", fixed={"encr": 1}),
    Model("SBBT-002C", "Shelly", "ShellyBLU Button1", "BTN", "s4[04]", (7,), "SBBT-0?", "fcd2",
          fixed=_DOOR, reader=shelly),
    Model("SBBT-004CEU/US", "Shelly", "ShellyBLU Switch4", "BTN", "s4[04]", (13,), "SBBT-", "fcd2",
          fixed=_DOOR, reader=shelly),
    Model("SBBT_002C_ENCR", "Shelly", "ShellyBLU Button1 encrypted", "BTN", "s4[15]", (15,), "SBBT-", "fcd2",
          fixed=_DOOR, reader=shelly_encrypted),
    *(Model(f"{id_}-00{kind}", "Shelly", f"ShellyBLU {title}", type_, "s44", sizes, id_, "fcd2", fixed=_DOOR,
            reader=shelly_plain) for id_, kind, title, type_, sizes in _SHELLY),
    *(Model(f"{id_}{line}00{kind}_ENCR", "Shelly", f"ShellyBLU {title} encrypted", type_, "s45", (), id_, "fcd2",
            fixed=_DOOR, reader=shelly_encrypted)
      for (id_, kind, title, type_, _), line in zip(_SHELLY, "__-", strict=True)),
    Model("ABN07", "April Brother", "N07", "THB", "s40", (11,), "asensor_", "fcd2", fixed=_SEEN | _TRACKED,
          reader=shelly_plain),
    Model("NUTALE", "nut", "Smart Tracker", "TRACK", "s", name="nutale", uuid="0900",
          fixed=_FIX | _SEEN | _TRACKED | {"device": "nutale Tracker"}),
    Model("SE_RHT", "Sensor Easy", "SE RHT", "THB", "s", (2,), "[CP] RHT", "2a6e", properties="tempc=s0:h/100"),
    Model("SE_RHT", "Sensor Easy", "SE RHT", "THB", "s", (2,), "[CP] RHT", "2a6f", properties="hum=s0:H/100"),
    Model("SE_TPROBE", "Sensor Easy", "SE TEMP PROBE", "THB", "s", (2,), "[CP] TPROBE", "2a6e",
          properties="tempc=s0:h/100"),
    Model("SE_TEMP", "Sensor Easy", "SE TEMP", "THB", "s", (2,), "[CP] T", "2a6e", properties="tempc=s0:h/100"),
    Model("SE_MAG", "Sensor Easy", "SE MAG", "CTMO", "s", (2,), "[CP] MAG", "2a06", fixed={"cont": True},
          reader=sensor_easy_magnet),
    Model("Mokobeacon", "Mokosmart", "Beacon", "ACEL", "s", uuid="ff01", properties="batt=s0:B", fixed=_TRACKED,
          reader=moko_plain),
    Model("GAEN", "GENERIC", "GAEN", "RMAC", "s", uuid="fd6f", properties="rpi=s0:x16 aem=s16:x4"),
    Model("MBXPRO", "Mokosmart", "BeaconX Pro", "ACEL", "s[467]0", uuid="feab", fixed=_TRACKED, reader=moko),
    Model("KSensor", "BlueCharm", "Beacon 08/04P/021", "ACEL", "s21010b", uuid="feaa", fixed=_TRACKED, reader=kkm),
    Model("K6P", "KKM", "Long Range K6P", "THB", "s210107", uuid="feaa", reader=kkm),
    Model("K9", "KKM", "Tracking K9", "ACEL", "s21010f", uuid="feaa", fixed=_TRACKED, reader=kkm),
    Model("EDDYSTONE_TLM", "GENERIC", "Eddystone TLM", "BCON", "s2000", (14,), uuid="feaa",
          properties="volt=s2:>H/1000", reader=eddystone),
    Model("NODONNIU", "NodOn", "NIU smart button", "BTN", "s", (16,), uuid="0000",
          fixed=_DOOR | _TRACKED, reader=niu),
    Model("FEASY", "Feasycom", "Beacon", "BCON", "s", (11,), uuid="fff0", properties="mac=s4:mac",
          fixed=_TRACKED, reader=feasy),
)
# fmt: on
_STARTS = {model.start: re.compile(model.start[1:]) for model in MODELS}


def decode(advert: Advert) -> Fields | None:
    """The properties by Theengs' names, with brand, model, model_id and type; None when no model is meant."""
    texts = {"m": advert.manufacturer.hex(), "s": advert.service.hex()}
    for model in MODELS:
        source = model.start[0]
        size = len(advert.manufacturer if source == "m" else advert.service)
        if (
            (size or model.uuid)
            and _STARTS[model.start].match(texts[source])
            and (not model.sizes or size in model.sizes)
            and (not model.uuid or re.fullmatch(model.uuid, advert.uuid))
            and (not model.name or re.match(model.name, advert.name))
        ):
            return _described(model, advert)
    return None


def _described(model: Model, advert: Advert) -> Fields:
    head = {"brand": model.brand, "model": model.title, "model_id": model.id, "type": model.type}
    found: Fields = head | model.fixed | properties(advert, model.properties)
    if model.reader:
        found |= model.reader(advert)
    for name in ("tempc", "tempc2_dp"):
        if name in found:
            found.setdefault(name.replace("tempc", "tempf"), found[name] * 1.8 + 32)
    return found

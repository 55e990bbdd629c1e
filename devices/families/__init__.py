"""The registry of families: a tuple you can read, one line each.

The edge has not all links of BYTE_FAMILIES_TO_COME and MESSAGE_FAMILIES yet (edge.link_config says which it has).
"""

from devices.families import (
    aprs,
    ble,
    cot,
    dahua,
    dmr,
    frigate,
    gat1400,
    gbt26875,
    hikvision,
    jt808,
    lorawan,
    mapped,
    meokon,
    modbus,
    nmea,
    onvif,
    senml,
    sia_dc09,
    tetra,
    watch,
    zigbee2mqtt,
)
from devices.family import AnyFamily, Family, MessageFamily

FAMILIES: tuple[Family, ...] = (gbt26875.FAMILY, jt808.FAMILY, watch.FAMILY)
BYTE_FAMILIES_TO_COME: tuple[Family, ...] = (
    aprs.FAMILY,
    cot.FAMILY,
    dahua.FAMILY,
    hikvision.FAMILY,
    meokon.FAMILY,
    nmea.FAMILY,
    sia_dc09.FAMILY,
    tetra.FAMILY,
)
MESSAGE_FAMILIES: tuple[MessageFamily, ...] = (
    gat1400.FAMILY,
    ble.FAMILY,
    frigate.FAMILY,
    lorawan.FAMILY,
    mapped.FAMILY,
    senml.FAMILY,
    zigbee2mqtt.FAMILY,
    onvif.FAMILY,
    dmr.FAMILY,
    modbus.FAMILY,
)
ALL: tuple[AnyFamily, ...] = (*FAMILIES, *BYTE_FAMILIES_TO_COME, *MESSAGE_FAMILIES)
BY_NAME: dict[str, AnyFamily] = {family.name: family for family in ALL}

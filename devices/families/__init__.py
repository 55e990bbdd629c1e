"""The registry of families: a tuple you can read, one line each.

BYTE_FAMILIES_TO_COME and MESSAGE_FAMILIES are read and tested here; the edge has not all links for them yet.
"""

from devices.families import (
    ble,
    cot,
    dahua,
    dmr,
    gbt26875,
    jt808,
    lorawan,
    nmea,
    onvif,
    sia_dc09,
    watch,
    zigbee2mqtt,
)
from devices.family import Family, MessageFamily

FAMILIES: tuple[Family, ...] = (gbt26875.FAMILY, jt808.FAMILY, watch.FAMILY)
BY_NAME: dict[str, Family] = {family.name: family for family in FAMILIES}
BYTE_FAMILIES_TO_COME: tuple[Family, ...] = (
    cot.FAMILY,
    dahua.FAMILY,
    nmea.FAMILY,
    sia_dc09.FAMILY,
)
MESSAGE_FAMILIES: tuple[MessageFamily, ...] = (
    ble.FAMILY,
    lorawan.FAMILY,
    zigbee2mqtt.FAMILY,
    onvif.FAMILY,
    dmr.FAMILY,
)

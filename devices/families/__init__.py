"""The registry of families: a tuple you can read, one line each.

MESSAGE_FAMILIES are read and tested here; the edge has no links for them yet.
"""

from devices.families import gbt26875, jt808, watch
from devices.family import Family, MessageFamily

FAMILIES: tuple[Family, ...] = (gbt26875.FAMILY, jt808.FAMILY, watch.FAMILY)
BY_NAME: dict[str, Family] = {family.name: family for family in FAMILIES}
MESSAGE_FAMILIES: tuple[MessageFamily, ...] = ()

"""The registry of families: a tuple you can read, one line each."""

from devices.families import gbt26875, jt808, watch
from devices.family import Family

FAMILIES: tuple[Family, ...] = (gbt26875.FAMILY, jt808.FAMILY, watch.FAMILY)
BY_NAME: dict[str, Family] = {family.name: family for family in FAMILIES}

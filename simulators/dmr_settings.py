"""What a scenario may set of a simulated DMR radio, whoever made it."""

from typing import Annotated, Literal

from msgspec import Meta

from simulators.scripted import Placed

Port = Annotated[int, Meta(ge=1, le=65_535)]


class Settings(Placed, frozen=True, forbid_unknown_fields=True):
    """The ports are a Motorola radio's; a Hytera radio uses the scenario's."""

    maker: Literal["hytera", "motorola"] = "hytera"
    ars_port: Port = 4005
    lrrp_port: Port = 4001
    tms_port: Port = 4007

"""The simulated families. To add one: its module, its line here, and its devices in tests/simulators/venue.py."""

from simulators import alarm_panel, band, lorawan_sensor, panel, terminal
from simulators.family import Simulator

SIMULATORS: dict[str, Simulator] = {
    "gbt26875": Simulator(panel.build, ("tcp",)),
    "jt808": Simulator(terminal.build, ("tcp",)),
    "lorawan": Simulator(lorawan_sensor.build, ("mqtt",), lorawan_sensor.edge),
    "sia_dc09": Simulator(alarm_panel.build, ("tcp", "udp")),
    "watch": Simulator(band.build, ("tcp",)),
}
BUILDERS = {name: simulator.build for name, simulator in SIMULATORS.items()}

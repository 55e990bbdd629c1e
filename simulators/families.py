"""The simulated families. To add one: its module, its line here, and its devices in tests/simulators/venue.py."""

from simulators import (
    alarm_panel,
    band,
    ble_tag,
    dmr_radio,
    door_terminal,
    lorawan_sensor,
    modbus_sensor,
    panel,
    tak_phone,
    terminal,
    zigbee_device,
)
from simulators.family import Simulator

SIMULATORS: dict[str, Simulator] = {
    "ble": Simulator(ble_tag.build, ("mqtt",), ble_tag.edge),
    "cot": Simulator(tak_phone.build, ("tcp_server", "udp")),
    "dmr": Simulator(dmr_radio.build, ("udp",), dmr_radio.edge),
    "gbt26875": Simulator(panel.build, ("tcp",)),
    "hikvision": Simulator(door_terminal.build_streaming, ("http_stream",), door_terminal.edge_streaming),
    "hikvision_push": Simulator(door_terminal.build_pushing, ("http_push",)),
    "jt808": Simulator(terminal.build, ("tcp",)),
    "lorawan": Simulator(lorawan_sensor.build, ("mqtt",), lorawan_sensor.edge),
    "modbus": Simulator(modbus_sensor.build, ("modbus",), modbus_sensor.edge),
    "sia_dc09": Simulator(alarm_panel.build, ("tcp", "udp")),
    "watch": Simulator(band.build, ("tcp",)),
    "zigbee2mqtt": Simulator(zigbee_device.build, ("mqtt",), zigbee_device.edge),
}
BUILDERS = {name: simulator.build for name, simulator in SIMULATORS.items()}

"""The simulated families. To add one: its module, its line here, and its devices in tests/simulators/venue.py."""

from simulators import (
    alarm_panel,
    aprs_station,
    band,
    ble_tag,
    dahua_camera,
    dmr_radio,
    door_terminal,
    frigate_camera,
    json_sensor,
    lorawan_sensor,
    modbus_sensor,
    nmea_receiver,
    panel,
    pressure_terminal,
    tak_phone,
    terminal,
    tetra_radio,
    zigbee_device,
)
from simulators.family import Simulator

SIMULATORS: dict[str, Simulator] = {
    "aprs": Simulator(aprs_station.build, ("tcp_server",)),
    "ble": Simulator(ble_tag.build, ("mqtt",), ble_tag.edge),
    "cot": Simulator(tak_phone.build, ("tcp_server", "udp")),
    "dahua": Simulator(dahua_camera.build, ("http_stream",), dahua_camera.edge),
    "dmr": Simulator(dmr_radio.build, ("udp",), dmr_radio.edge),
    "frigate": Simulator(frigate_camera.build, ("mqtt",), frigate_camera.edge),
    "gbt26875": Simulator(panel.build, ("tcp",)),
    "hikvision": Simulator(door_terminal.build_streaming, ("http_stream",), door_terminal.edge_streaming),
    "hikvision_push": Simulator(door_terminal.build_pushing, ("http_push",)),
    "jt808": Simulator(terminal.build, ("tcp",)),
    "lorawan": Simulator(lorawan_sensor.build, ("mqtt",), lorawan_sensor.edge),
    "mapped": Simulator(json_sensor.build_mapped, ("folder",), json_sensor.edge_mapped),
    "meokon": Simulator(pressure_terminal.build, ("tcp", "udp")),
    "modbus": Simulator(modbus_sensor.build, ("modbus",), modbus_sensor.edge),
    "nmea": Simulator(nmea_receiver.build, ("udp", "tcp", "tcp_server", "serial")),
    "senml": Simulator(json_sensor.build_senml, ("mqtt",), json_sensor.edge_senml),
    "sia_dc09": Simulator(alarm_panel.build, ("tcp", "udp")),
    "tetra": Simulator(tetra_radio.build, ("serial", "tcp", "tcp_server")),
    "watch": Simulator(band.build, ("tcp",)),
    "zigbee2mqtt": Simulator(zigbee_device.build, ("mqtt",), zigbee_device.edge),
}
BUILDERS = {name: simulator.build for name, simulator in SIMULATORS.items()}

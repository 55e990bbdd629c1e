"""The shared kernel: what edge, hub and simulators must agree on byte for byte. No I/O, no clock."""

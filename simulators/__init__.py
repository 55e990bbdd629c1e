"""The device side of every family, a seeded world, scenarios, faults. Talks to edge and hub over the wire only."""

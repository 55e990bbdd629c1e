"""Pure geometry: zones and the question which of them holds a point. No clock, no I/O, nothing of ours imported."""

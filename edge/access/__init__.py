"""The gate: who may pass, decided at the edge, with or without the hub."""

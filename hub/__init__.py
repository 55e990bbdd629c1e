"""The hub: ingest, incidents, API, console. `python -m hub --config FILE`."""

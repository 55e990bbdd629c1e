"""The agent on a site box: links, pipeline, spool, uplink. Runs without the hub; `python -m edge --config FILE`."""

"""The `gridward` command: starts the others as processes, checks the machine, decodes captured bytes."""

__version__ = "0.1.0"

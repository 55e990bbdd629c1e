"""Benchmarks: each prints a ratio to a limit measured in the same run. They measure; they are no tests."""

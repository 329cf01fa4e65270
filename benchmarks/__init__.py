"""Benchmarks: `python -m benchmarks` prints every table, `python -m benchmarks recall` one."""

"""The run controller against a server whose limits and faults it isn't told.

`python -m benchmarks.faults` plays every scenario, `python -m benchmarks.faults B E` some of them.
"""

"""Benchmarks: labkit measured beside something else, in the same run and on the same machine.

Each gives figures that name their unit and their method. They are commands (`labkit bench ...`), never tests:
a machine that is busy makes a figure worse, not labkit wrong. Rounds alternate between the two that are
compared, and medians are taken, so that what disturbs one disturbs the other.

Read first: figure.py, then engine.py.
"""

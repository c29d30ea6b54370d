"""Faults on demand: what a bad network does to messages and bytes, and which process is killed when.

Each draws from a seed, so that an attack can be made again. Knows messages, bytes and names of points; no experiment.
"""

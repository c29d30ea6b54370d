"""Bytes <-> messages. Knows the wire (SPEC.md); knows no socket, clock, event loop or torch."""

PROTOCOL_VERSION = 1
"""The one version this code speaks; HELLO negotiates a range (SPEC.md, section 3)."""

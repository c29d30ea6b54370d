"""A human teaches a network while something else keeps inventing candidates: the active-learning loop as a service."""

__version__ = "0.1.0"

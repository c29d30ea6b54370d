"""Melodies as samples: genome.py (bits and notes), midi.py and wav.py (to hear them), listener.py (rates them)."""

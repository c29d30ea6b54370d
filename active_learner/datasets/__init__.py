"""Data sets that ship with the package (digits.md and melody.md name source and licence), and how a data set is read (reading.py)."""

"""Data sets that ship with the package (digits.md names source and licence), and how a data set is read (reading.py)."""

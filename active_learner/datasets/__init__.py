"""Data sets that ship with the package (digits.md, melody.md name source and licence), and how one is read (reading.py)."""

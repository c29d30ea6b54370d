"""One experiment's configuration: schema (schema.py), files and overrides (loading.py), errors in words (problems.py)."""

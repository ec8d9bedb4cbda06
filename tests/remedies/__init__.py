"""What is done about each fault, and whether a test would notice if it were not done: see remedies.toml and check.py."""

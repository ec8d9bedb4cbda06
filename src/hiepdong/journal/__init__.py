"""Append-only: who did what, to which object, when, under which code. No foreign key to anyone.

The entry is also the outbox: `web/tasks.py` walks new entries and calls what `web/wiring.py` says. An entry holds
copies of names, never keys, so that it outlives what it speaks of. Entries are never changed nor deleted.
"""

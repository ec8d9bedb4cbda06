"""A rule applied: debtor, creditor, trigger, due moment, discharge. `domain/` holds the deadline engine.

A status is never stored: it is computed when read, from the facts of the row and the moment of reading.
"""

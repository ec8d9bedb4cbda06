"""Agencies and units, dated, each with the instrument that founded it and the act that ended it."""

"""The demo year: real bodies and units, a synthetic year of dispatches by a documented generator with a fixed seed."""

"""Indicators and figures: each with its unit, precision, scope, period and the dispatch it was reported in."""

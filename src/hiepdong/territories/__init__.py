"""Administrative units, dated, in both pictures: 63 provinces until 30 June 2025, 34 since 1 July 2025.

A unit is (code, valid_from): a new unit may carry the code of an old one. What became of what is a `Succession`.
"""

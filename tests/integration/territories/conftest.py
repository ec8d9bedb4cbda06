"""Units and bodies that the tests of this folder stand on."""

from support.places import bodies_of_2020, units

__all__ = ["bodies_of_2020", "units"]

"""Plain Python that every app may use, and nothing else: errors, text, validity, moments.

What may enter: a value or a function without Django, without I/O, used by at least two apps, with a name that says
what it does. What may not: anything with a model, a setting, a clock.
"""

"""Instruments, articles and rules as data (TOML with worked examples inside), with dated amendments.

One file is one version of one instrument. Loading is all or nothing. An amendment is a file with the same key and a
later `effective_from`; the rules of the earlier version keep ruling the periods before it.
"""

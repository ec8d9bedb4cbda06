"""The stand-alone verifier: imports nothing of Hiệp đồng. `verify.py` can be copied alone and run with any python3."""

"""Settings, the WSGI entry and the console script; the only package outside the layers."""

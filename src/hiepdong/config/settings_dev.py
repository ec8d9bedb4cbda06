"""Settings on a developer's machine and in the demo: the same, on plain HTTP."""

from .settings import *

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False

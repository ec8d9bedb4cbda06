"""Settings of the tests: cheap password hashes, tasks at once, an in-memory SQLite unless a database is named."""

import os

os.environ.setdefault("HIEPDONG_SECRET_KEY", "a secret of the tests, fifty characters long, nothing else")

from .settings import *

HIEPDONG_DATA = BASE_DIR / "build" / "tests"  # of this checkout: another user of the machine may run its own tests
HIEPDONG_DATA.mkdir(parents=True, exist_ok=True)
MEDIA_ROOT = HIEPDONG_DATA / "files"
STATIC_ROOT = HIEPDONG_DATA / "static"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
WHITENOISE_AUTOREFRESH = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A killed process loses nothing without it; only a power cut would, and no test makes one.
    options = DATABASES["default"]["OPTIONS"]
    options["init_command"] = options["init_command"].replace("synchronous=FULL", "synchronous=OFF")
if not HIEPDONG_DATABASE_URL:
    DATABASES["default"]["NAME"] = HIEPDONG_DATA / "unused.sqlite3"

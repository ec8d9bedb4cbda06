"""Production settings. Everything a node may choose starts with HIEPDONG_ and is read here, once."""

import os
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.utils.csp import CSP

BASE_DIR = Path(__file__).resolve().parents[3]


def _words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


# --- what a node chooses -------------------------------------------------------------------------------------------

HIEPDONG_DATA = Path(os.environ.get("HIEPDONG_DATA") or BASE_DIR / "var").absolute()
"""Folder of this node: database (SQLite), files, keys. Back it up whole."""

HIEPDONG_ASSETS = Path(os.environ.get("HIEPDONG_ASSETS", BASE_DIR / "node_modules"))
"""Folder in which npm installed the style sheet and the fonts."""

HIEPDONG_DATABASE_URL = os.environ.get("HIEPDONG_DATABASE_URL", "")
"""Empty: SQLite in HIEPDONG_DATA. Else postgresql://user:password@host:port/name or sqlite:///path."""

HIEPDONG_SECRET_KEY = os.environ.get("HIEPDONG_SECRET_KEY", "")
"""Secret of this node (sessions, encryption of signing keys). Empty: read from HIEPDONG_DATA/secret-key."""

HIEPDONG_DEMO_DAY = os.environ.get("HIEPDONG_DEMO_DAY", "")
"""Local day (2020-12-18) as of which a demo node is shown; empty on every real node: pages show the present."""

HIEPDONG_NODE_NAME = os.environ.get("HIEPDONG_NODE_NAME", "")
"""Shown in the page frame, for example the province."""

HIEPDONG_TSA_URL = os.environ.get("HIEPDONG_TSA_URL", "")
"""Address of a time-stamping authority (RFC 3161); empty: the linked nodes alone witness the journal's time."""

HIEPDONG_TSA_CA = os.environ.get("HIEPDONG_TSA_CA", "")
"""File of the root certificates (PEM) that are trusted for time-stamps, and for nothing else."""

HIEPDONG_TSA_MINUTES = int(os.environ.get("HIEPDONG_TSA_MINUTES", "60"))
"""Least time between two time-stamps."""

HIEPDONG_WITNESS_GRACE_DAYS = int(os.environ.get("HIEPDONG_WITNESS_GRACE_DAYS", "14"))
"""Days that a seal of the journal may wait for a witness or a time-stamp until pages call its time unproven."""

HIEPDONG_CHECKPOINT_MINUTES = int(os.environ.get("HIEPDONG_CHECKPOINT_MINUTES", "60"))
"""Least time between two checkpoints of the journal to one linked node."""

HIEPDONG_REFUSE_UNWITNESSED = os.environ.get("HIEPDONG_REFUSE_UNWITNESSED", "0") == "1"
"""With 1, nothing new is sent while the journal is beyond the grace without a witness."""

HIEPDONG_KEY_ROTATE_DAYS = int(os.environ.get("HIEPDONG_KEY_ROTATE_DAYS", "30"))
"""Days before its end on which the key of an organisation at home is renewed by itself; 0: never."""

HIEPDONG_QUIET_HOURS = int(os.environ.get("HIEPDONG_QUIET_HOURS", "24"))
"""From how many hours without a word on a link with another node is called quiet."""

HIEPDONG_SHARE_ONLY_BOUND = os.environ.get("HIEPDONG_SHARE_ONLY_BOUND", "0") == "1"
"""With 1, papers pass between nodes only between organisations that a regulation in force binds with each other."""

HIEPDONG_PEER_CA = os.environ.get("HIEPDONG_PEER_CA", "")
"""File of root certificates (PEM) for the lines to linked nodes that pin none; empty: those of the system."""

HIEPDONG_API_PEER_RATE = float(os.environ.get("HIEPDONG_API_PEER_RATE", "200"))
"""Requests a second that one linked node may send to one answering process."""

HIEPDONG_API_TOKEN_RATE = float(os.environ.get("HIEPDONG_API_TOKEN_RATE", "20"))
"""Requests a second with one token of the machine interface, to one answering process."""

HIEPDONG_PROXIES = [ip_network(word, strict=False) for word in _words("HIEPDONG_PROXIES")]
"""Addresses or networks of the front servers that are believed about who asks (X-Forwarded-For); none: nobody is."""

# --- Django --------------------------------------------------------------------------------------------------------


def _secret_key() -> str:
    if HIEPDONG_SECRET_KEY:
        return HIEPDONG_SECRET_KEY
    path = HIEPDONG_DATA / "secret-key"
    return path.read_text().strip() if path.is_file() else ""


SECRET_KEY = _secret_key() or "no-secret-key-yet: run `hiepdong setup`"
DEBUG = False
ALLOWED_HOSTS = _words("HIEPDONG_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = _words("HIEPDONG_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_tasks_db",
    "hiepdong.shell",
    "hiepdong.journal",
    "hiepdong.territories",
    "hiepdong.organisations",
    "hiepdong.accounts",
    "hiepdong.documents",
    "hiepdong.exchange",
    "hiepdong.regulations",
    "hiepdong.duties",
    "hiepdong.reporting",
    "hiepdong.review",
    "hiepdong.api",
    "hiepdong.web",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "hiepdong.api.middleware.ApiMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # stations have thin lines: the board is 160 KB of text, 12 KB packed
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "hiepdong.shell.middleware.NothingStoredMiddleware",
    "hiepdong.shell.middleware.DomainErrorMiddleware",
    "hiepdong.accounts.middleware.SeatMiddleware",
    "hiepdong.web.middleware.ReactionsMiddleware",
]

ROOT_URLCONF = "hiepdong.web.urls"
WSGI_APPLICATION = "hiepdong.config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.csp",
                "hiepdong.shell.context.frame",
                "hiepdong.shell.moments.frame",
            ],
        },
    },
]


def _database() -> dict:
    url = HIEPDONG_DATABASE_URL or f"sqlite:///{HIEPDONG_DATA / 'hiepdong.sqlite3'}"
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": parts.path if parts.path.startswith("//") else parts.path.replace("//", "/"),
            "CONN_MAX_AGE": 600,  # opening one costs a page of a large node 4 to 25 ms
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",  # a writer waits at BEGIN, it never fails half-way
                "timeout": 20,
                "init_command": (
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                    "PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=2147418112;"
                ),
            },
        }
    if parts.scheme in {"postgresql", "postgres"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path.lstrip("/"),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 600,
            # short statements of a page gain nothing from being compiled, and wait for it
            "OPTIONS": {"pool": False, "options": "-c jit=off"},
        }
    raise ValueError(f"HIEPDONG_DATABASE_URL: {url!r} is neither sqlite:///path nor postgresql://…")


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.Person"
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "web:desk"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["sign_in_name", "display_name"]},
    },
]

LANGUAGE_CODE = "vi"
# One language: an office computer whose browser asks for English first still shows official Vietnamese.
LANGUAGES = [("vi", "Tiếng Việt")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "Asia/Ho_Chi_Minh"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = HIEPDONG_DATA / "static"
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "hiepdong.shell.finders.AssetFinder",
]
HIEPDONG_ASSET_FILES = {"vendor/tabler.min.css": "@tabler/core/dist/css/tabler.min.css"} | {
    f"vendor/be-vietnam-pro-{script}-{weight}.woff2": (
        f"@fontsource/be-vietnam-pro/files/be-vietnam-pro-{script}-{weight}-normal.woff2"
    )
    for script in ("vietnamese", "latin", "latin-ext")
    for weight in (400, 500, 600, 700)
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = HIEPDONG_DATA / "files"

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

SECURE_CSP = {
    "default-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],  # the style sheet's own icons are data: images
    "object-src": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.SELF],
}
CSRF_FAILURE_VIEW = "hiepdong.shell.pages.csrf_refused"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True  # a station shares its laptop: who opens the browser next is not the one before
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = os.environ.get("HIEPDONG_HTTPS", "1") != "0"
SECURE_SSL_REDIRECT = False  # the front server (nginx, Caddy) redirects; a node on loopback has no certificate
SECURE_HSTS_SECONDS = int(os.environ.get("HIEPDONG_HSTS_SECONDS", "0"))
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]  # HSTS and redirect belong to the front server
if os.environ.get("HIEPDONG_PROXY_HTTPS") == "1":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}

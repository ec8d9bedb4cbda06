"""Find Chromium, or get it:  .venv/bin/python tests/support/chromium.py  prints its path, or says what to do and exits 1.

Looked for in this order: HIEPDONG_CHROMIUM, the system's Chromium or Chrome, the one Playwright installed before. When
there is none: as root Debian's package, else (or when that fails) Playwright's own download.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def _starts(path: str | None) -> bool:
    """Say whether this is a browser that runs; on some systems `chromium-browser` only tells one to install a snap."""
    if not path or not os.access(path, os.X_OK):
        return False
    try:
        return subprocess.run([path, "--version"], check=False, capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as browsers:
        return browsers.chromium.executable_path


def find() -> str | None:
    """Return the path of a Chromium that starts, or None."""
    named = os.environ.get("HIEPDONG_CHROMIUM")
    if named:
        return named if _starts(named) else None
    found = next((path for path in map(shutil.which, NAMES) if _starts(path)), None)
    if found:
        return found
    path = _playwright()
    return path if _starts(path) else None


def _said(*command: str) -> bool:
    print("chromium:", " ".join(command), file=sys.stderr)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(command, check=False, stdout=sys.stderr, env=environment).returncode == 0
    except OSError:
        return False


def install() -> None:
    """Try Debian's package as root, then Playwright's own."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        get = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")
        if _said(*get, "update") and _said(*get, "install", "-y", "--no-install-recommends", "chromium") and find():
            return
    _said(sys.executable, "-m", "playwright", "install", "chromium", "--only-shell")


def main() -> int:
    path = find()
    if path is None and not os.environ.get("HIEPDONG_CHROMIUM"):
        install()
        path = find()
    if path is None:
        print(
            "chromium: there is none and none could be installed; install Chromium (on Debian, as root: apt-get install "
            "chromium) or name one in HIEPDONG_CHROMIUM=/path/to/chromium, then run bin/test again.",
            file=sys.stderr,
        )
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

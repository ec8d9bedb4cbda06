"""A headless Chromium, and two nodes to look at: the demo year as `hiepdong serve` shows it, and a small one to work in."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from django.conf import settings

from support import chromium
from support.make import World, seat

ROOT = Path(__file__).resolve().parents[2]
DEMO_DAY = "2020-12-18"
PASSWORD = "phoi-hop-bien-phong-2020"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    path = chromium.find()
    if path is None:
        pytest.fail("no Chromium: run bin/test, which installs one, or name one in HIEPDONG_CHROMIUM")
    # Playwright's loop runs in this thread; what the tests ask the database for is asked between its steps.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


class Watch:
    """What a page must not do, noted while it does it: console errors, page errors, requests that leave the node."""

    def __init__(self, context, base):
        self.faults = []
        context.on("console", lambda m: m.type == "error" and self.faults.append(f"console: {m.text}"))
        context.on("weberror", lambda e: self.faults.append(f"error: {e.error}"))
        context.on("request", lambda r: r.url.startswith((base, "data:")) or self.faults.append(f"outside: {r.url}"))


@pytest.fixture
def opened(browser):
    """Return a function that opens a window on a node; at the end no window may have misbehaved."""
    made = []

    def open_window(base, *, width=1280, height=900, cookie=None, **more):
        more = {"viewport": {"width": width, "height": height}, "base_url": base, "locale": "en-US", **more}
        context = browser.new_context(**more)
        context.set_default_timeout(15_000)
        if cookie:
            context.add_cookies([{"name": "sessionid", "value": cookie, "url": base}])
        page = context.new_page()
        page.watch = Watch(context, base)
        made.append((context, page.watch))
        return page

    yield open_window
    faults = [fault for _, watch in made for fault in watch.faults]
    for context, _ in made:
        context.close()
    assert faults == []


# --- the demo year, as it is served ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Set up a node with the demo year and serve it; give its address. Each test process has its own."""
    data = tmp_path_factory.mktemp("demo")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HIEPDONG_", "DJANGO_"))} | {
        "DJANGO_SETTINGS_MODULE": "hiepdong.config.settings_dev",
        "HIEPDONG_DATA": str(data),
        "HIEPDONG_DEMO_DAY": DEMO_DAY,
        "HIEPDONG_NODE_NAME": "Nghệ An 2020 (dữ liệu minh họa)",
    }
    run = [str(Path(sys.executable).parent / "hiepdong")]

    def hiepdong(*arguments):
        done = subprocess.run([*run, *arguments], check=False, env=environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    hiepdong("setup")
    hiepdong("demo")
    review = ["--regulation", "nghe-an.qcph-2020", "--year", "2020", "--as-of", f"{DEMO_DAY}T09:00+07:00"]
    hiepdong("review", "build", *review, "--out", str(data / "review"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    port = str(18000 + 50 * worker)  # two servers that start at the same instant would find the same port free
    served = subprocess.Popen(
        [*run, "serve", "--port", port, "--workers", "1"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        base = re.search(r"http://\S+:\d+", served.stdout.readline())[0]
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{base}/dang-nhap/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield base
    finally:
        served.terminate()
        served.wait(timeout=20)
        served.stdout.close()
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="session")
def signed_in(browser, demo):
    """Return a function that gives the session of a demo sign-in, signed in once through the page."""
    sessions = {}

    def session(name):
        if name not in sessions:
            context = browser.new_context(base_url=demo)
            page = context.new_page()
            page.goto("/dang-nhap/")
            page.fill("[name=sign_in_name]", name)
            page.fill("[name=password]", PASSWORD)
            page.click("main button")
            page.wait_for_url(f"{demo}/")
            sessions[name] = next(c["value"] for c in context.cookies() if c["name"] == "sessionid")
            context.close()
        return sessions[name]

    return session


# --- a small node to work in ----------------------------------------------------------------------------------------------


@pytest.fixture
def node(transactional_db, live_server, tmp_path):
    """A station and a district of today on the test's own database, and windows for their people."""
    from datetime import UTC, datetime, timedelta

    settings.MEDIA_ROOT = tmp_path
    world = World()
    today = datetime.now(UTC).date()
    world.duties(until=today + timedelta(days=60))
    world.base = live_server.url
    return world


@pytest.fixture
def window(node, opened):
    """Return a function that opens a window in which a person's seat is signed in."""
    from django.test import Client

    def open_window(who, **more):
        client = Client()
        client.force_login(who.person)
        return opened(node.base, cookie=client.cookies["sessionid"].value, **more)

    return open_window


@pytest.fixture
def new_seat():
    return seat

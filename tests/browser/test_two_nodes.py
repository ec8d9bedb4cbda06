"""Two administrators link their nodes through the pages, each on a node of its own, served as it is served to people."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import override_settings
from playwright.sync_api import expect

from hiepdong.config import settings as production
from hiepdong.organisations.queries import organisation_by_key
from support.homes import Home
from support.make import person, seat

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "hai-nut-cung-mot-duong-2026"
BODIES = """format = "hiepdong.organisations/1"
[[organisation]]
key = "{key}"
kind = "{kind}"
name = "{name}"
notation = "{notation}"
valid_from = 2010-01-01
territory = []
source = "thử"
verified = false
"""
GUARD = {"key": "t.don-my-ly", "kind": "border_station", "name": "Đồn Biên phòng Mỹ Lý", "notation": "ĐBP"}
LOCAL = {"key": "t.ubnd-xa", "kind": "peoples_committee_commune", "name": "UBND xã Mỹ Lý", "notation": "UBND"}


class Served:
    """A node in a folder of its own, with one body, an administrator and a signer."""

    def __init__(self, folder, name, body, port):
        self.folder, self.name, self.body, self.port = folder, name, body, port
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("HIEPDONG_", "DJANGO_"))} | {
            "DJANGO_SETTINGS_MODULE": "hiepdong.config.settings_dev",
            "HIEPDONG_DATA": str(folder),
            "HIEPDONG_NODE_NAME": name,
        }
        self.base = ""

    def furnish(self):
        """Load the body, give it its people, found the node: what the operator types, in this process to be quick."""
        file = self.folder / "co-quan.toml"
        file.write_text(BODIES.format(**self.body))
        call_command("organisations", "load", str(file), stdout=StringIO())
        for who, role in (("quan-tri", "node_administrator"), ("nguoi-ky", "signer")):
            held = seat(organisation_by_key(self.body["key"]), role, who=person(who, who))
            with override_settings(PASSWORD_HASHERS=production.PASSWORD_HASHERS):
                held.person.set_password(PASSWORD)
            held.person.save()
        call_command("node", "found", "--name", self.name, "--speaker", self.body["key"], stdout=StringIO())

    def serve(self):
        command = [str(Path(sys.executable).parent / "hiepdong"), "serve", "--port", str(self.port), "--workers", "1"]
        self.process = subprocess.Popen(
            command, env=self.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.base = f"http://127.0.0.1:{self.port}"
        said = self.process.stdout.readline()
        assert self.base in said, said
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{self.base}/dang-nhap/", timeout=5).close()
                return
            except urllib.error.HTTPError:
                raise
            except OSError:
                time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.process.stdout.close()


def ready():
    """Make the database and the style sheet; none of the bodies has a territory, so no unit is needed."""
    call_command("migrate", verbosity=0)
    with override_settings(STORAGES=production.STORAGES):  # as it is served: by digest
        call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture
def nodes(tmp_path, django_db_blocker):
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    guard = Served(tmp_path / "guard", "Nút Bộ đội Biên phòng", GUARD, 18020 + 50 * worker)
    local = Served(tmp_path / "local", "Nút các địa phương", LOCAL, 18030 + 50 * worker)
    homes = Home(guard.folder), Home(local.folder)
    guard.folder.mkdir()
    (guard.folder / "secret-key").write_text("a secret, longer than fifty characters, of the first of the two nodes\n")
    with django_db_blocker.unblock():  # these are databases of their own, not the tests'
        homes[0].inside(ready)
    shutil.copytree(guard.folder, local.folder)
    (local.folder / "secret-key").write_text("another secret, longer than fifty characters, of the other of the nodes\n")
    try:
        for home, node in zip(homes, (guard, local), strict=True):
            with django_db_blocker.unblock():
                home.inside(node.furnish)
            node.serve()
        yield guard, local
    finally:
        for node in (guard, local):
            if node.base:
                node.stop()


def sign_in(opened, node, who, **more):
    page = opened(node.base, accept_downloads=True, **more)
    page.goto("/dang-nhap/")
    page.fill("[name=sign_in_name]", who)
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url(f"{node.base}/")
    return page


def test_two_administrators_link_their_nodes_and_the_page_of_a_paper_says_why_it_is_not_there_yet(nodes, opened, tmp_path):
    guard, local = nodes
    here, there = sign_in(opened, guard, "quan-tri"), sign_in(opened, local, "quan-tri", width=390, height=800)
    files = {}
    for page in (here, there):
        page.goto("/duong-lien-ket/")
        page.locator("main a[href='/duong-lien-ket/moi/']").first.click()
        with page.expect_download() as got:
            page.click("button[value=file]")
        files[page] = tmp_path / f"{len(files)}.jws"
        got.value.save_as(files[page])
    for page, other in ((here, there), (there, here)):
        page.set_input_files("[name=invitation]", files[other])
        page.click("button[value=accept]")
        expect(page.locator(".hd-pair")).to_be_visible()
    numbers = [page.locator(".hd-pair").inner_text().split() for page in (here, there)]
    assert numbers[0] == numbers[1]
    assert len(numbers[0]) == 6

    here.fill("[name=number]", "12345 " * 6)  # misheard
    here.click("main form:has([name=number]) button")
    expect(here.locator("#confirm-error")).to_be_visible()
    here.watch.faults[:] = [f for f in here.watch.faults if "422" not in f]
    here.fill("[name=number]", " ".join(numbers[1]))
    here.click("main form:has([name=number]) button")
    there.locator("details:has([name=same]) summary").click()
    there.locator("form:has([name=same]) button").click()
    for page, other in ((here, local), (there, guard)):
        expect(page.locator("#bodies")).to_be_visible()
        expect(page.get_by_role("link", name=other.body["name"])).to_be_visible()

    writes = sign_in(opened, guard, "nguoi-ky")
    writes.goto(f"/ban-thao/moi/?to={local.body['key']}")
    chosen = writes.get_by_label(f"{local.body['name']} ở nút khác: {local.name}").first
    expect(chosen).to_be_checked()
    writes.fill("[name=subject]", "Thông báo lịch tuần tra chung")
    writes.fill("[name=text]", "Tuần tra chung mốc 417.")
    writes.click("button[value=send]")
    expect(writes.locator("#why summary")).to_contain_text(local.body["name"])
    assert writes.locator("#why li").count() == 4
    expect(writes.locator("#why .hd-why-waits").first).to_be_visible()
    here.reload()
    expect(here.locator(".hd-mark b").first).to_have_text("1")

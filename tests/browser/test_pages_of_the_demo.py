"""Every page, wide and narrow: axe finds nothing, nothing sticks out, nothing is asked from elsewhere, nothing fails."""

from pathlib import Path

import pytest

AXE = (Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}
WIDE, NARROW = 1280, 390
NAVIGATION = {
    "desk": "/",
    "board": "/bang-thuong-xuyen/?year=2020",
    "duties": "/nghia-vu/",
    "overdue duties": "/nghia-vu/?status=overdue",
    "register in": "/so-cong-van-den/?year=2020",
    "register out": "/so-cong-van-di/?year=2020",
    "drafts": "/ban-thao/",
    "calendar": "/lich/?month=2020-11",
    "regulations": "/quy-che/",
    "regulation": "/quy-che/nghe-an.qcph-2020/",
    "reviews": "/tong-ket/",
    "figures": "/so-lieu/",
    "figures of one indicator": "/so-lieu/?indicator=tuan-tra",
    "organisations": "/co-quan/",
    "organisation": "/co-quan/nghe-an.don-my-ly/",
    "units": "/don-vi/?on=2020-12-01&q=ky+son",
    "search": "/tim/?q=don+bien+phong",
    "search without a hit": "/tim/?q=khongcogi",
    "help": "/tro-giup/",
    "password": "/mat-khau/",
    "nothing here": "/cong-van/00000000-0000-0000-0000-000000000000/",
}
FOLLOWED = {
    "duty": ("/nghia-vu/?status=overdue", "a[href^='/nghia-vu/'][href$='/']:not([href='/nghia-vu/'])"),
    "dispatch out": ("/so-cong-van-di/?year=2020", "main a[href^='/cong-van/']"),
    "dispatch in": ("/so-cong-van-den/?year=2020", "main a[href^='/cong-van/']"),
    "unit": ("/don-vi/?on=2020-12-01&q=ky+son", "main a[href^='/don-vi/']:not([href*='?'])"),
    "review": ("/tong-ket/", "main a[href^='/tong-ket/']:not([href$='/lap/'])"),
}


def findings(page):
    """Return what axe finds, one line each: rule, weight, how to mend it, where."""
    page.evaluate(AXE)
    found = page.evaluate("options => axe.run(document, options)", RULES)
    return [
        f"{v['id']} ({v['impact']}): {v['help']}: {n['target']} {n['html'][:160]}"
        for v in found["violations"]
        for n in v["nodes"]
    ]


def sticking_out(page):
    """Return what makes the page wider than the window."""
    return page.evaluate(
        """() => {
          const wide = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= wide) return [];
          return [...document.body.querySelectorAll("*")]
            .filter((e) => e.getBoundingClientRect().right > wide + 1 && !e.closest(".hd-scroll, .hd-nav"))
            .slice(0, 5).map((e) => e.outerHTML.slice(0, 160)).concat([`${document.documentElement.scrollWidth} > ${wide}`]);
        }"""
    )


def unfold(page):
    """Open what is folded, also what lies inside it."""
    for _ in range(60):
        closed = page.locator("main details:not([open]) > summary:visible")
        if closed.count() == 0:
            return
        closed.first.click()
    raise AssertionError("something cannot be opened")


def looked_at(page, *, refused=False):
    """Hold what every page must do."""
    assert findings(page) == []
    assert sticking_out(page) == []
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.lang") == "vi"
    if refused:  # the browser itself logs the 404 of the page
        page.watch.faults[:] = [f for f in page.watch.faults if "404" not in f]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", sorted(NAVIGATION))
def test_a_page_is_accessible_fits_and_asks_nobody_else(name, width, demo, signed_in, opened):
    page = opened(demo, width=width, cookie=signed_in("don-my-ly"))
    page.goto(NAVIGATION[name])
    looked_at(page, refused=name == "nothing here")


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", sorted(FOLLOWED))
def test_a_record_is_accessible_fits_and_asks_nobody_else(name, width, demo, signed_in, opened):
    page = opened(demo, width=width, cookie=signed_in("dang-uy-bdbp" if name == "review" else "don-my-ly"))
    start, link = FOLLOWED[name]
    page.goto(start)
    page.goto(page.locator(link).first.get_attribute("href"))
    unfold(page)
    looked_at(page)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_sign_in_page_and_its_refusal_are_accessible(width, demo, opened):
    page = opened(demo, width=width)
    page.goto("/nghia-vu/")
    looked_at(page)
    page.fill("[name=sign_in_name]", f"khong-co-{width}")
    page.fill("[name=password]", "sai")
    page.click("main button")
    page.wait_for_selector("[aria-invalid], .alert, .errorlist")
    looked_at(page)
    page.watch.faults[:] = [f for f in page.watch.faults if "422" not in f]


@pytest.mark.parametrize("name", ["tinh-uy", "dang-uy-bdbp", "huyen-uy-ky-son", "xa-my-ly", "quan-tri-bdbp", "quan-tri"])
def test_the_desk_of_every_kind_of_seat_is_accessible(name, demo, signed_in, opened):
    page = opened(demo, width=NARROW, cookie=signed_in(name))
    page.goto("/")
    looked_at(page)
    for link in page.locator(".hd-nav a").all():
        assert link.get_attribute("href") != "#"


@pytest.mark.parametrize("name", ["quan-tri-bdbp", "quan-tri"])
def test_the_pages_of_seats_are_accessible(name, demo, signed_in, opened):
    page = opened(demo, width=NARROW, cookie=signed_in(name))
    for address in ("/vi-tri/", "/vi-tri/moi/"):
        page.goto(address)
        looked_at(page)


@pytest.mark.parametrize("name", ["desk", "board", "duties", "regulation"])
def test_a_page_is_accessible_in_the_dark_and_on_paper(name, demo, signed_in, opened):
    page = opened(demo, cookie=signed_in("don-my-ly"), color_scheme="dark")
    page.goto(NAVIGATION[name])
    looked_at(page)
    page.emulate_media(media="print")
    shown = "() => [...document.querySelectorAll('nav, .hd-noprint, .hd-find')].filter((e) => e.checkVisibility()).length"
    assert page.evaluate(shown) == 0, "what one cannot press on paper is not printed"


def test_every_page_can_be_left_and_reached_by_the_keyboard_alone(demo, signed_in, opened):
    page = opened(demo, cookie=signed_in("don-my-ly"))
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main", "the first stop skips to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    outline = "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).boxShadow"
    assert page.evaluate(outline) != "nonenone", "one sees where one is"

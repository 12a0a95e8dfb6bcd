"""The page in a real browser: nothing is fetched, nothing fails, both themes can be read, the keyboard reaches all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_networks import DIGITS, page, wide_run

from hwsdk.report import html

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
         "--window-size=1280,900")
MOST_BYTES = 2_000_000
CONTROLS = "a[href], button, summary, [tabindex='0']"
SECTIONS = ["fit", "placement", "traffic", "spikes", "energy", "time", "losses", "ledger", "target"]
LUMINANCE = """
const parts = getComputedStyle(arguments[0])[arguments[1]].match(/[\\d.]+/g).slice(0, 3).map(x => x / 255);
const [r, g, b] = parts.map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
return 0.2126 * r + 0.7152 * g + 0.0722 * b;"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium with an empty profile that logs its requests and its console."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is missing: pip install selenium")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no browser: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of the digits on a target of each family, and of 10,010 neurons."""
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for target in DIGITS:
        found[target] = folder / f"{target}.html"
        found[target].write_text(page(target), "utf-8")
    found["wide"] = html.save(wide_run()[2], folder / "wide.html")
    return found


def show(browser: Any, file: Path, scheme: str = "light", width: int = 1280) -> None:
    """Open a page as the first one of a reader who prefers ``scheme``."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    browser.get(file.as_uri())
    browser.execute_script("localStorage.clear()")
    browser.get(file.as_uri())


def luminance(browser: Any, element: Any, what: str) -> float:
    return browser.execute_script(LUMINANCE, element, what)


def contrast(a: float, b: float) -> float:
    """As WCAG 2.2 defines it."""
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def press(browser: Any, key: str) -> Any:
    """Press a key; the element that then has the focus."""
    from selenium.webdriver import ActionChains, Keys

    ActionChains(browser, 0).send_keys(getattr(Keys, key)).perform()
    return browser.switch_to.active_element


def test_small_enough(files: dict[str, Path]) -> None:
    assert {n: s for n, f in files.items() if (s := f.stat().st_size) >= MOST_BYTES} == {}


@pytest.mark.parametrize("name", [*DIGITS, "wide"])
def test_nothing_is_fetched_and_nothing_fails(browser: Any, files: dict[str, Path], name: str) -> None:
    """The page itself is all that is asked for; the console stays empty; all sections and figures have a size."""
    browser.get_log("performance")
    show(browser, files[name])
    sent = [m["params"]["request"]["url"] for entry in browser.get_log("performance")
            if (m := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"]
    own = ("data:", "chrome:", "chrome-untrusted:")  # the browser's first page, which no file may ask for
    assert {u for u in sent if not u.startswith(own)} == {files[name].as_uri()}
    assert browser.get_log("browser") == []
    heads = browser.find_elements("css selector", "main h2")
    assert [h.get_attribute("id") for h in heads] == SECTIONS
    assert all(h.is_displayed() for h in heads)
    drawn = browser.find_elements("css selector", "main svg")
    assert len(drawn) >= 7 and all(min(s.rect["width"], s.rect["height"]) > 50 for s in drawn)


def test_the_policy_forbids_the_network(browser: Any, files: dict[str, Path]) -> None:
    """Whatever a script of the page tried, the browser would refuse it."""
    show(browser, files["loihi1"])
    said = browser.execute_async_script("""
        const done = arguments[0];
        document.addEventListener("securitypolicyviolation", e => done(e.effectiveDirective), {once: true});
        fetch("http://127.0.0.1:9/").catch(() => {});""")
    assert said == "connect-src"
    browser.get_log("browser")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name", ["loihi1", "sfq"])
def test_no_page_is_wider_than_its_window(browser: Any, files: dict[str, Path], name: str, width: int) -> None:
    show(browser, files[name], width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_dark_and_light_differ_and_can_be_read(browser: Any, files: dict[str, Path]) -> None:
    """Ground and text swap; text, also in figures, stands out by 7 to 1 and secondary text by 4.5 to 1."""
    grounds, pictures = {}, set()
    for scheme in ("light", "dark"):
        show(browser, files["loihi1"], scheme)
        grounds[scheme] = luminance(browser, browser.find_element("css selector", "body"), "backgroundColor")
        for selector, what, least in (("h1", "color", 7), ("td", "color", 7), ("figcaption", "color", 4.5),
                                      ("figure svg text", "fill", 4.5), ("nav a", "color", 7)):
            element = browser.find_element("css selector", selector)
            assert contrast(luminance(browser, element, what), grounds[scheme]) >= least, (scheme, selector)
        pictures.add(browser.get_screenshot_as_base64())
    assert grounds["light"] > 0.9 and grounds["dark"] < 0.05 and len(pictures) == 2


@pytest.mark.parametrize(("scheme", "key"), [("light", "ENTER"), ("dark", "SPACE")])
def test_the_switch_by_keyboard(browser: Any, files: dict[str, Path], scheme: str, key: str) -> None:
    """It turns the theme round, says so, and the page keeps it when it is opened again."""
    show(browser, files["loihi1"], scheme)
    body, switch = (browser.find_element("css selector", s) for s in ("body", "#theme"))
    before = luminance(browser, body, "backgroundColor"), switch.get_attribute("aria-pressed"), switch.text
    for _ in range(30):
        if press(browser, "TAB").get_attribute("id") == "theme":
            break
    press(browser, key)
    after = luminance(browser, body, "backgroundColor"), switch.get_attribute("aria-pressed"), switch.text
    assert all(a != b for a, b in zip(before, after, strict=True))
    browser.get(files["loihi1"].as_uri())
    body = browser.find_element("css selector", "body")
    assert luminance(browser, body, "backgroundColor") == after[0]
    browser.execute_script("localStorage.clear()")


@pytest.mark.parametrize("width", [1280, 360])
def test_tab_reaches_every_control_in_order(browser: Any, files: dict[str, Path], width: int) -> None:
    """Every link, the switch, every fold and whatever scrolls, in the order of the page, each with a visible frame."""
    show(browser, files["loihi1"], width=width)
    controls = browser.find_elements("css selector", CONTROLS)
    assert len(controls) > 15
    for control in controls:
        reached = press(browser, "TAB")
        assert reached == control, (reached.tag_name, reached.text)
        assert float(reached.value_of_css_property("outline-width").removesuffix("px")) >= 2
    scrolls = browser.execute_script("""return [...document.querySelectorAll('.scroll')].filter(
        e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.tabIndex !== 0).length""")
    assert scrolls == 0, "what scrolls can be scrolled by keyboard"


def test_skip_link_and_folds(browser: Any, files: dict[str, Path]) -> None:
    show(browser, files["loihi1"])
    assert press(browser, "TAB").get_attribute("class") == "skip"
    assert press(browser, "ENTER").get_attribute("id") == "report"
    fold = browser.find_element("css selector", "details")
    assert fold.get_property("open") is False
    while press(browser, "TAB").tag_name != "summary":
        pass
    press(browser, "ENTER")
    assert fold.get_property("open") is True and fold.find_element("css selector", "td").is_displayed()


def test_on_paper_and_without_scripts(browser: Any, files: dict[str, Path]) -> None:
    """Print is dark on white without the controls; without scripts all is there but the switch."""
    show(browser, files["loihi1"], "dark")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    body = browser.find_element("css selector", "body")
    assert luminance(browser, body, "backgroundColor") > 0.9
    assert not browser.find_element("css selector", "nav").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(files["loihi1"].as_uri())
        assert not browser.find_element("css selector", "#theme").is_displayed()
        assert len(browser.find_elements("css selector", "main h2")) == len(SECTIONS)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})

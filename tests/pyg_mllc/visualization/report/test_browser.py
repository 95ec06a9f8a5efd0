"""The page in a real browser, where there is one: it must come up, and do what it offers."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest

from pyg_mllc.visualization.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WATCH = """<script>
window.wrong = [];
addEventListener("error", (event) => window.wrong.push(event.message));
addEventListener("securitypolicyviolation", (event) => window.wrong.push(event.blockedURI));
</script>"""
ACT = """<script>
const one = (selector) => document.querySelector(selector);
const names = () => [...document.querySelectorAll("#gallery h3")].map((h) => h.textContent);
const first = () => one("#images tbody tr").cells[0].textContent;
const found = { cards: names().length, rows: one("#images tbody").rows.length };
const range = one(".stack input");
found.cut = [range.parentNode.style.getPropertyValue("--cut")];
range.focus();
found.focused = document.activeElement === range && Boolean(range.getAttribute("aria-label"));
range.value = 80;
range.dispatchEvent(new Event("input"));
found.cut.push(range.parentNode.style.getPropertyValue("--cut"));
found.clip = getComputedStyle(one(".stack .before")).clipPath;
found.pages = [names()];
one("#gallery-pager button:last-child").click();
found.pages.push(names());
found.first = [first()];
one("#images-pager button:last-child").click();
found.where = one("#images-pager span").textContent;
one("#images th button").click();
found.first.push(first());
one("#find").value = "0_";
one("#find").dispatchEvent(new Event("input"));
found.matching = one("#images-pager span").textContent;
one("#find").value = "";
one("#find").dispatchEvent(new Event("input"));
one("#images td button").click();
found.opened = document.activeElement.querySelector("h3").textContent;
found.linked = one("#images td button").textContent;
found.wide = document.documentElement.scrollWidth - innerWidth;
found.wrong = window.wrong;
document.body.append(Object.assign(document.createElement("pre"),
  { id: "found", textContent: JSON.stringify(found) }));
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
@pytest.mark.parametrize("width", [1280, 500])  # headless windows are no narrower
def test_slider_pages_and_table_work_without_an_error(make_evaluation, tmp_path, width):
    many = make_evaluation(60, gallery=20)
    file = tmp_path / "é report.html"
    colors = [(10, 20, 30), (200, 100, 0), (0, 90, 0)]
    write_report(file, "Report", [], many, ["a", "<b>b</b>", "c"], colors, {})
    html = file.read_text().replace("<head>", "<head>" + WATCH)
    file.write_text(html.replace("</body>", ACT + "</body>"))
    dom = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900",
         "--virtual-time-budget=5000", "--dump-dom", file.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    told = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert told, "the page's script did not come to its end"
    found = json.loads(unescape(told[1]))
    assert found["wrong"] == [] and found["wide"] <= 0
    assert (found["cards"], found["rows"]) == (6, 50) and found["focused"]
    assert found["cut"] == ["50%", "80%"] and "20%" in found["clip"]
    ranked = sorted(many.images, key=lambda figures: figures.accuracy[1])
    assert found["pages"][0][0] == ranked[0].name == found["first"][0]
    assert not set(found["pages"][0]) & set(found["pages"][1])
    assert found["where"] == "images 51 to 60 of 60"
    assert found["first"][1].startswith("0_")  # sorted by name
    wanted = sum("0_" in figures.name for figures in many.images)
    assert found["matching"] == f"images 1 to {wanted} of {wanted}"
    assert found["opened"] == found["linked"]

"""Links between the project's texts lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "experiments").rglob("*.md")]
)


def anchors(text):
    """What headings are called in links."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_has_a_target(text):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text.read_text()):
        place, _, anchor = link.partition("#")
        target = (text.parent / place).resolve() if place else text
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link

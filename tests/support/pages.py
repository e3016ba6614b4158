"""Reads a page as a browser would, and says what is wrong with it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
HOSTILE = ("<img src=x onerror=alert(1)>", "=cmd()", "../../etc", "\u202egpj.\u200fanna", "'\"><script>")
FORBIDDEN = {"script", "iframe", "object", "embed", "link", "base", "form", "svg", "a"}
DATA = re.compile(r"data:image/[\w+]+;base64,[A-Za-z0-9+/=]+")
EXTERNAL = re.compile(r"(?:https?:)?//[\w.]", re.IGNORECASE)


class Page(HTMLParser):
    """tags: all of them with their attributes; text: what is between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    @property
    def images(self) -> list[str]:
        return [attrs["src"] or "" for tag, attrs in self.tags if tag == "img"]


def inert(html: str) -> Page:
    """Assert that a page, or a piece of one, runs nothing."""
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & FORBIDDEN
    assert "<script" not in html.lower()
    return page


def require_safe(html: str) -> Page:
    """Assert that the page runs nothing and asks for nothing."""
    page = inert(html)
    policies = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv")]
    assert policies == [CSP]
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
        assert not attrs.keys() & {"href", "srcset", "style", "action"}
    assert all(source.startswith("data:image/") for source in page.images)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert not EXTERNAL.search(DATA.sub("", html))
    return page

"""Sanitizes the static output of macros for a page of the simulated host, with an allowlist of elements.

Source: the product converts a macro's static output to a document format, which has no scripts, forms or handlers.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser

_TEXT = {"p", "div", "span", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "b", "em", "i", "u", "s"}
_MORE = {"small", "sub", "sup", "code", "pre", "blockquote", "a", "img", "ul", "ol", "li", "dl", "dt", "dd"}
_TABLES = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "colgroup", "col"}
_SECTIONS = {"figure", "figcaption", "section", "article", "header", "footer"}
_KEPT = frozenset(_TEXT | _MORE | _TABLES | _SECTIONS)
_EMPTY = frozenset({"br", "hr", "img", "col"})
_DROPPED = frozenset(
    {"script", "style", "head", "title", "template", "noscript", "iframe", "object", "svg", "textarea"}
)
_ATTRIBUTES = frozenset({"href", "src", "alt", "title", "colspan", "rowspan", "width", "height", "style"})


class _Cleaner(HTMLParser):
    """Writes the allowed elements and attributes to ``out``."""

    def __init__(self) -> None:
        super().__init__()
        self.out: list[str] = []
        self._open: list[str] = []
        self._dropping = 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Write an allowed element with its allowed attributes."""
        if tag in _DROPPED:
            self._dropping += 1
        elif tag in _KEPT and not self._dropping:
            harmless = [(name, value or "") for name, value in attrs if _is_harmless(name, value or "")]
            kept = "".join(f' {name}="{escape(value)}"' for name, value in harmless)
            self.out.append(f"<{tag}{kept}>")
            self._open += [] if tag in _EMPTY else [tag]

    def handle_endtag(self, tag: str) -> None:
        """Close an element that was written."""
        if tag in _DROPPED:
            self._dropping = max(0, self._dropping - 1)
        elif tag in self._open and not self._dropping:
            self.close_down_to(len(self._open) - 1 - self._open[::-1].index(tag))

    def handle_data(self, data: str) -> None:
        """Write text, escaped."""
        if not self._dropping:
            self.out.append(escape(data))

    def close_down_to(self, depth: int) -> None:
        """Close the innermost elements until ``depth`` elements are open."""
        self.out += [f"</{tag}>" for tag in reversed(self._open[depth:])]
        del self._open[depth:]


def _is_harmless(name: str, value: str) -> bool:
    if name not in _ATTRIBUTES:
        return False
    if name in ("href", "src"):
        return value.strip().lower().startswith(("http://", "https://"))
    return name != "style" or "(" not in value


def clean(text: str) -> str:
    """Return the document's text and allowed elements, with every element closed."""
    cleaner = _Cleaner()
    cleaner.feed(text)
    cleaner.close()
    cleaner.close_down_to(0)
    return "".join(cleaner.out)

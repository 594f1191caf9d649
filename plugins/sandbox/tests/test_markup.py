"""Static output of macros in the host's own pages."""

import pytest
from addonkit_sandbox.markup import clean


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("<p>a <b>b</b></p>", "<p>a <b>b</b></p>"),
        ("<p onclick='x()'>a</p>", "<p>a</p>"),
        ("<script>x()</script>a", "a"),
        ("<head><title>t</title></head><body><p>a</p></body>", "<p>a</p>"),
        ('<a href="javascript:x()">a</a>', "<a>a</a>"),
        ('<a href="https://example.com">a</a>', '<a href="https://example.com">a</a>'),
        ('<p style="background:url(//x)">a</p>', "<p>a</p>"),
        ("<form><button>a</button></form>", "a"),
        ("<table><tr><td>a", "<table><tr><td>a</td></tr></table>"),
        ("a</div></main>", "a"),
        ("&lt;script&gt;", "&lt;script&gt;"),
        ("<svg><script>x</script></svg>a", "a"),
        ("<img src=x onerror=x()>", "<img>"),
    ],
)
def test_markup_keeps_allowed_elements_only(given, kept):
    assert clean(given) == kept

"""The head of a page: tags of the plugin that are prepared once, and a session of the request."""

import re
from urllib.parse import quote

import jwt
import pytest
from addonkit.app.page_head import _tags
from addonkit.protocol import Sessions
from markupsafe import Markup

pytestmark = pytest.mark.asyncio(loop_scope="module")
SESSION = re.compile('<meta name="addonkit-session" content="([^"]*)" data-expires-in="900">')
OPTIONS = [
    "",
    "sizeToParent:true",
    "resize:false;margin:0",
    '"><script>alert(1)</script>',
    "a&b",
    "&amp;",
    "'",
    "{base}",
    "%s",
    "\u20ac\U0001f600",
]


def head(base: str, plugin: str, css: str, js: str, all_js: str, options: str) -> str:
    """Return the tags as one template writes them."""
    template = Markup(
        '<meta name="addonkit-base" content="{base}" data-plugin="{plugin}">\n'
        '<link rel="stylesheet" href="{base}{css}">\n'
        '<script src="{all_js}" data-options="{options}" defer></script>\n'
        '<script src="{base}{js}" defer></script>'
    )
    return str(template.format(base=base, plugin=plugin, css=css, js=js, all_js=all_js, options=options))


def expected(wire, plugin, site, options=""):
    assets = wire.addon.edge.assets["addonkit"]
    script = f"{site.base_url}/atlassian-connect/all.js"
    return head("", plugin, assets.url("addonkit.css"), assets.url("addonkit.js"), script, options)


@pytest.mark.parametrize("options", OPTIONS)
async def test_page_head_escapes_options(wire, options):
    answer = await wire.open(f"/under_test/headed?session=false&options={quote(options, safe='')}")
    assert answer.text == expected(wire, "under_test", wire.site, options)


async def test_page_head_names_plugin_and_site_of_the_request(wire):
    other = await wire.host.install()
    for _ in range(2):
        for path, plugin in (("/under_test/headed", "under_test"), ("/neighbour/neighbour_headed", "neighbour")):
            for site in (wire.site, other):
                answer = await wire.open(path, site=site)
                assert answer.text.partition("\n")[2] == expected(wire, plugin, site)


@pytest.mark.parametrize("text", ['"', "<", ">", "&", "'"])
async def test_page_head_escapes_every_part(text):
    parts = (f"/kit{text}", f"panel{text}", f"/a{text}.css", f"/a{text}.js", f"https://host/{text}.js")
    tags = _tags(*parts)
    assert f"{tags.before}{tags.after}" == head(*parts, "")
    assert f"{text}" not in re.sub('<[a-z]+ |[a-z-]+="|"[ >]|</script>|defer>|&[#a-z0-9]+;', "", str(tags.before))


async def test_page_head_has_a_session_of_its_request(wire):
    sessions = set()
    for account in ("acc-1", "acc-2", None):
        answer = await wire.open("/under_test/headed", sub=account)
        token = SESSION.match(answer.text).group(1)
        assert jwt.decode(token, options={"verify_signature": False}).get("sub") == account
        sessions.add(token)
    assert len(sessions) == 3


async def test_page_head_without_session_signs_nothing(wire, monkeypatch):
    signed = []
    monkeypatch.setattr(Sessions, "mint", lambda *_: signed.append(1))
    answer = await wire.open("/under_test/headed?session=false")
    assert (SESSION.search(answer.text), signed) == (None, [])

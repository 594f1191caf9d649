"""Signatures checked by independent implementations: the host's own libraries for JavaScript and Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from addonkit.hostapi.call import build_url
from addonkit.protocol.tokens import sign
from atlassian_jwt.url_utils import hash_url
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent.parent
SECRET = "a secret of more than thirty-two bytes"
# Source: the library sorts names as they read, the host as they are encoded; these names sort alike either way.
NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-.", min_size=1, max_size=12).filter(
    lambda name: name not in ("jwt", "__proto__")
)
VALUES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    st.integers(-(10**9), 10**9),
    st.booleans(),
)
QUERIES = st.dictionaries(NAMES, st.one_of(VALUES, st.lists(VALUES, max_size=4)), max_size=6)
PARTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..")
)
JUDGE = """
const jwt = require('atlassian-jwt');
require('readline').createInterface({input: process.stdin}).on('line', (line) => {
  const {token, secret, method, url, base} = JSON.parse(line);
  let verdict;
  try {
    const claims = jwt.decodeSymmetric(token, secret, 'HS256');
    const request = jwt.fromMethodAndUrl(method, url);
    verdict = claims.qsh === jwt.createQueryStringHash(request, false, base) ? 'good' : 'another hash';
  } catch (problem) { verdict = String(problem); }
  console.log(verdict);
});
"""


@pytest.fixture(scope="module")
def judge():
    """Returns the verdict of the host's JavaScript library on one signed call."""
    node = shutil.which("node")
    assert node is not None, "node is not there; install Node.js 18 or later"
    with subprocess.Popen(
        [node, "-e", JUDGE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def judged(method, url, base, token):
            case = {"token": token, "secret": SECRET, "method": method, "url": url, "base": base}
            process.stdin.write(json.dumps(case) + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield judged
        process.stdin.close()


@settings(deadline=None)  # the first example waits for Node.js to start
@pytest.mark.parametrize("base", ["https://one.atlassian.net", "https://one.atlassian.net/wiki"])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    parts=st.lists(PARTS, min_size=1, max_size=4),
    query=QUERIES,
)
def test_signature_is_accepted_by_the_hosts_javascript_library(judge, base, method, parts, query):
    path = "/rest/api/3/" + "/".join(quote(part, safe="") for part in parts)
    found = build_url(base, path, query)
    sent = found.full.raw_path.decode()
    token = sign({"iss": "key", "iat": 1, "exp": 2**31, "qsh": found.qsh(method)}, SECRET.encode())
    assert judge(method, sent, base, token) == "good"


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    parts=st.lists(PARTS, min_size=1, max_size=4),
    query=QUERIES,
)
def test_signature_hash_equals_that_of_the_hosts_python_library(method, parts, query):
    path = "/rest/api/3/" + "/".join(quote(part, safe="") for part in parts)
    found = build_url("https://one.atlassian.net", path, query)
    assert found.qsh(method) == hash_url(method, found.full.raw_path.decode())


def test_signature_for_another_query_is_rejected(judge):
    found = build_url("https://one.atlassian.net", "/rest/api/3/search", {"jql": "project = AB"})
    token = sign({"iss": "key", "iat": 1, "exp": 2**31, "qsh": found.qsh("GET")}, SECRET.encode())
    assert (
        judge("GET", "/rest/api/3/search?jql=project%20%3D%20XY", "https://one.atlassian.net", token) == "another hash"
    )

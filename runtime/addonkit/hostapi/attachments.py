"""Attachments of issues and content: the resources of both products, and their answers.

Source: Jira's ``issue/{}/attachments`` and ``attachment/content/{}``; Confluence's ``content/{}/child/attachment`` and
its ``…/download``, which redirects to a file server.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from addonkit.context import Product
from addonkit.errors import CallForbidden, ObjectIdInvalid, ResponseInvalid
from addonkit.host import Attachment
from addonkit.text import shortened

MAX_NAME = 255
_NAME = re.compile(rf"[^\x00-\x1f\x7f/\\]{{1,{MAX_NAME}}}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def upload_path(product: Product, issue: str | None, content: str | None) -> tuple[str, str]:
    """Return method and path of an upload.

    Raises:
        CallForbidden: The product has no such object, or there is not exactly one.
        ObjectIdInvalid: The id has no form that the host uses.
    """
    if (issue is None) == (content is None):
        raise CallForbidden("a file is attached to one object; pass either issue or content")
    _check_product(product, "content" if content is not None else "issue")
    if issue is not None:
        return "POST", f"/rest/api/3/issue/{_part('issue', issue)}/attachments"
    # PUT replaces a file of the same name, as an upload in Jira adds another; POST would refuse it.
    return "PUT", f"/rest/api/content/{_part('content', content or '')}/child/attachment"


def download_path(product: Product, attachment: str, content: str | None) -> str:
    """Return the path of a download.

    Raises:
        CallForbidden: Confluence's content is missing, or Jira's attachment has one.
        ObjectIdInvalid: An id has no form that the host uses.
    """
    number = _part("attachment", attachment)
    if product == "jira":
        if content is not None:
            _check_product(product, "content")
        return f"/rest/api/3/attachment/content/{number}"
    if content is None:
        raise CallForbidden("in Confluence an attachment is found by its content; pass content")
    return f"/rest/api/content/{_part('content', content)}/child/attachment/{number}/download"


def check_name(name: str) -> str:
    """Return a file name if the host can store it.

    Raises:
        CallForbidden: It is empty or too long, or has a slash or a control character.
    """
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise CallForbidden(
            f"'{shortened(name, 60)}' is no file name, expected 1 to {MAX_NAME} characters without slashes and control "
            "characters"
        )
    return name


def parse_attachment(body: Any, call: str) -> Attachment:
    """Return the attachment in the answer to an upload.

    Raises:
        ResponseInvalid: There is none.
    """
    entries = body.get("results") if isinstance(body, dict) else body
    entry = entries[0] if isinstance(entries, list) and entries else None
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str | int):
        raise ResponseInvalid(f"the host's answer to '{call}' names no attachment")
    facts = entry.get("extensions")
    facts = facts if isinstance(facts, dict) else {}
    size = entry.get("size", facts.get("fileSize"))
    return Attachment(
        id=str(entry["id"]),
        name=str(entry.get("filename") or entry.get("title") or ""),
        content_type=str(entry.get("mimeType") or facts.get("mediaType") or "application/octet-stream"),
        size=size if isinstance(size, int) else None,
    )


def _part(kind: str, value: str) -> str:
    if not _ID.fullmatch(value):
        raise ObjectIdInvalid(f"'{shortened(value, 60)}' is not an id of '{kind}'")
    return quote(value, safe="")


def _check_product(product: Product, kind: str) -> None:
    expected = "confluence" if kind == "content" else "jira"
    if product != expected:
        raise CallForbidden(f"'{kind}' exists in {expected.title()} only, and this site is of another product")

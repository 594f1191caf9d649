"""The visitor of the simulated products: user, licence, theme and time zone, stored in cookies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from addonkit_sandbox.sample import USERS, User

ANONYMOUS = "anonymous"
CHOICES: Mapping[str, tuple[str, ...]] = {
    "user": (*USERS, ANONYMOUS),
    "licence": ("active", "none"),
    "theme": ("light", "dark"),
}
_ZONE = re.compile(r"[A-Za-z][\w+-]*(?:/[\w+-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Visitor:
    """The visitor's switches.

    Attributes:
        user: The user who is logged in; None for an anonymous visitor.
        licence: ``"active"`` or ``"none"``.
        theme: ``"light"`` or ``"dark"``.
        zone: The browser's time zone, from a cookie that the pages' script sets; UTC until then.
    """

    user: User | None
    licence: str
    theme: str
    zone: str

    @classmethod
    def from_cookies(cls, cookies: Mapping[str, str]) -> Visitor:
        """Return the visitor of a browser's cookies; a missing or unknown value becomes the first choice."""
        sent = {name: cookies.get(cookie_name(name), "") for name in CHOICES}
        chosen = {name: sent[name] if sent[name] in CHOICES[name] else CHOICES[name][0] for name in CHOICES}
        zone = cookies.get(cookie_name("zone"), "")
        return cls(
            USERS.get(chosen["user"]), chosen["licence"], chosen["theme"], zone if _ZONE.fullmatch(zone) else "UTC"
        )

    @property
    def may_edit(self) -> bool:
        """Whether the visitor can change issues and pages."""
        return self.user is not None and self.user.edits

    @property
    def account_id(self) -> str | None:
        """The user's account id; None for an anonymous visitor."""
        return self.user.account_id if self.user else None


def cookie_name(switch: str) -> str:
    """Return the name of a switch's cookie."""
    return f"sandbox-{switch}"

"""Who looks at the simulated products in one browser, and how: what the switches in the top bar set."""

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
    """The state of the switches.

    Attributes:
        user: Who is signed in; None is an anonymous visitor.
        licence: ``"active"`` or ``"none"``.
        theme: ``"light"`` or ``"dark"``.
        zone: The browser's time zone, as our pages' script told it; UTC before that.
    """

    user: User | None
    licence: str
    theme: str
    zone: str

    @classmethod
    def of(cls, cookies: Mapping[str, str]) -> Visitor:
        """The visitor that a browser's cookies tell of; what they do not tell is the first choice."""
        chosen = {name: cookies.get(cookie(name), "") for name in CHOICES}
        held = {name: chosen[name] if chosen[name] in CHOICES[name] else CHOICES[name][0] for name in CHOICES}
        zone = cookies.get(cookie("zone"), "")
        return cls(USERS.get(held["user"]), held["licence"], held["theme"], zone if _ZONE.fullmatch(zone) else "UTC")

    @property
    def may_edit(self) -> bool:
        """Whether issues and pages may be changed."""
        return self.user is not None and self.user.edits

    @property
    def account_id(self) -> str | None:
        """The user's account id; None is an anonymous visitor."""
        return self.user.account_id if self.user else None


def cookie(choice: str) -> str:
    """Name of the cookie that keeps a choice."""
    return f"sandbox-{choice}"

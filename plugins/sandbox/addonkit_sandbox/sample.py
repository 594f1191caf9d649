"""Sample data of the simulated products: invented users, issues and pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """A user of the products.

    Attributes:
        key: Short name, stored by the switch in the top bar.
        account_id: The Atlassian account id.
        name: Full name.
        locale: Language and country.
        colour: Background of the avatar.
        edits: Whether the user can change issues and pages; every user can read them.
    """

    key: str
    account_id: str
    name: str
    locale: str
    colour: str
    edits: bool = True

    @property
    def initials(self) -> str:
        """The initials of the name, shown in the avatar."""
        return "".join(word[0] for word in self.name.split())


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue in Jira."""

    id: str
    key: str
    summary: str
    status: str
    priority: str
    assignee: str
    labels: tuple[str, ...]
    description: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A page in Confluence, without its macros.

    Attributes:
        id: Content id.
        title: The title.
        lead: The paragraph above the macros.
        sections: Headings with their lists, below the macros.
    """

    id: str
    title: str
    lead: str
    sections: tuple[tuple[str, tuple[str, ...]], ...]


USERS = {
    user.key: user
    for user in (
        User("mia", "5b10a2844c20165700ede21g", "Mia Krystof", "en-AU", "#6554C0"),
        User("emma", "5b10ac8d82e05b22cc7d4ef5", "Emma Richards", "en-GB", "#00875A"),
        User("sam", "557058:8f1b9a3c-0d5e-4f6a-9b7c-1d2e3f4a5b6c", "Sam Okafor", "en-US", "#C9372C"),
        User("noor", "712020:3d2f6c1e-5a74-4b0e-8f7d-9c1b2a3e4f50", "Noor Haddad", "en-GB", "#1D7AFC", edits=False),
    )
}

ACCOUNTS = {user.account_id: user for user in USERS.values()}

PROJECT = {"id": "10001", "key": "DEMO", "name": "Demo shop"}
SPACE = {"id": "65539", "key": "SHOP", "name": "Web shop"}

ISSUES = {
    issue.key: issue
    for issue in (
        Issue(
            "10042",
            "DEMO-42",
            "Checkout fails when the basket holds a gift card",
            "In progress",
            "High",
            "emma",
            ("checkout", "regression"),
            (
                "A basket that holds a gift card and a physical item stops at the payment step: the request to the "
                "tax service has no address for the gift card.",
                "Expected: the gift card is left out of the tax request and the order goes through.",
            ),
        ),
        Issue(
            "10057",
            "DEMO-57",
            "Spring campaign landing page",
            "To do",
            "Medium",
            "mia",
            ("campaign",),
            ("One page with three product rows, live by the first of March.",),
        ),
        Issue(
            "10058",
            "DEMO-58",
            "Search results ignore umlauts",
            "Done",
            "Low",
            "sam",
            ("search",),
            ("Searching for Möbel finds nothing while Moebel finds forty items.",),
        ),
    )
}

DOCUMENTS = {
    document.id: document
    for document in (
        Document(
            "98347",
            "Release checklist: web shop 4.2",
            "Everything that has to be true before 4.2 goes to all customers.",
            (
                ("Before the roll-out", ("Gift card fix is on staging", "Contract tests are green")),
                ("Afterwards", ("Watch the error rate for an hour", "Tell support")),
            ),
        ),
        Document(
            "98360",
            "Team handbook",
            "How the web shop team works, and where to find what.",
            (("Meetings", ("Stand-up at ten", "Retrospective every second Friday")),),
        ),
        Document(
            "98371",
            "Retrospective notes",
            "What went well, what did not, and what we try next.",
            (("Next", ("Smaller releases", "One owner for each alert")),),
        ),
    )
}

"""Models of polls, options, votes and the pages that show polls.

The rules are in ``polls.py`` and ``votes.py``. Account ids are the only personal data.
"""

from typing import NamedTuple

from addonkit import TenantModel
from tortoise import fields
from tortoise.indexes import Index

ACCOUNT_ID_LENGTH = 128
CONTENT_ID_LENGTH = 64


class Poll(TenantModel):
    """A poll.

    Attributes:
        key: The key that the macro stores in the page; random, so that keys cannot be guessed.
        question: The question, plain text.
        several: Whether a voter may choose more than one option.
        closes_at: When voting closes, UTC; None for never.
        author_id: Account id of the author.
        draft: Idempotency key of the dialog that created the poll; a second save with it finds this poll.
        revision: Incremented by every change (optimistic locking).
        created_at: When the poll was created, UTC.
    """

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.BigIntField(primary_key=True)
    key = fields.CharField(max_length=32)
    question = fields.CharField(max_length=300)
    several = fields.BooleanField()
    closes_at = fields.DatetimeField(null=True)
    author_id = fields.CharField(max_length=ACCOUNT_ID_LENGTH)
    draft = fields.CharField(max_length=32)
    revision = fields.IntField(default=1)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        """Table and indexes."""

        table = "macro_poll"
        unique_together = (("tenant_id", "key"), ("tenant_id", "author_id", "draft"))


class Place(TenantModel):
    """A page or blog post on which a reader has opened a poll; a copied page shows the same poll.

    Attributes:
        poll: The poll.
        content_id: Id of the page or blog post.
        space_key: Key of its space; empty until it is known.
        checked_at: When Confluence last said whether it exists, UTC; None if it was never asked.
        missing_since: Since when Confluence has not known it, UTC; None if it does.
    """

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.BigIntField(primary_key=True)
    poll: fields.ForeignKeyRelation[Poll] = fields.ForeignKeyField(
        "macro.Poll", related_name="places", on_delete=fields.CASCADE
    )
    poll_id: int
    content_id = fields.CharField(max_length=CONTENT_ID_LENGTH)
    space_key = fields.CharField(max_length=255, default="", db_default="")
    checked_at = fields.DatetimeField(null=True)
    missing_since = fields.DatetimeField(null=True)

    class Meta:
        """Table and indexes."""

        table = "macro_place"
        unique_together = (("poll", "content_id"),)
        indexes = (
            Index(fields=("tenant_id", "content_id")),
            Index(fields=("tenant_id", "space_key")),
            Index(fields=("tenant_id", "poll_id")),
        )


class Option(TenantModel):
    """One option of a poll.

    Attributes:
        poll: The poll.
        key: Key within the poll; it does not change with the text or the order, so votes are kept.
        text: The option's text, plain text.
        position: The option's place, from 0.
    """

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.BigIntField(primary_key=True)
    poll: fields.ForeignKeyRelation[Poll] = fields.ForeignKeyField(
        "macro.Poll", related_name="options", on_delete=fields.CASCADE
    )
    poll_id: int
    key = fields.CharField(max_length=32)
    text = fields.CharField(max_length=120)
    position = fields.SmallIntField()

    class Meta:
        """Table and indexes."""

        table = "macro_option"
        unique_together = (("poll", "key"),)
        indexes = (Index(fields=("tenant_id", "poll_id")),)


class ShownOption(NamedTuple):
    """What is shown of an option; a row that cannot be changed."""

    id: int
    key: str
    text: str


class Vote(TenantModel):
    """The vote of one account in one poll.

    A poll belongs to one site, so poll and account are unique within the site.

    Attributes:
        poll: The poll.
        account_id: Account id of the voter.
        cast_at: When the account first voted, UTC.
    """

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.BigIntField(primary_key=True)
    poll: fields.ForeignKeyRelation[Poll] = fields.ForeignKeyField(
        "macro.Poll", related_name="votes", on_delete=fields.CASCADE
    )
    poll_id: int
    account_id = fields.CharField(max_length=ACCOUNT_ID_LENGTH)
    cast_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        """Table and indexes."""

        table = "macro_vote"
        unique_together = (("poll", "account_id"),)
        indexes = (Index(fields=("tenant_id", "poll_id")),)


class Choice(TenantModel):
    """One chosen option of a vote; a poll of several choices has votes with several of them.

    Attributes:
        vote: The vote.
        option: The chosen option.
    """

    _no_comments = True  # saves Tortoise the search of this file for comments of fields

    id = fields.BigIntField(primary_key=True)
    vote: fields.ForeignKeyRelation[Vote] = fields.ForeignKeyField(
        "macro.Vote", related_name="choices", on_delete=fields.CASCADE
    )
    vote_id: int
    option: fields.ForeignKeyRelation[Option] = fields.ForeignKeyField(
        "macro.Option", related_name="choices", on_delete=fields.CASCADE, db_index=True
    )
    option_id: int

    class Meta:
        """Table and indexes."""

        table = "macro_choice"
        unique_together = (("vote", "option"),)
        indexes = (Index(fields=("tenant_id", "vote_id")),)

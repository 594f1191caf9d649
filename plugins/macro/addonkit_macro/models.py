"""The rows of polls: what was asked, what may be answered, who answered, and how.

What may be written into them stands in ``polls.py`` and ``votes.py``. Of people only account ids are stored.
"""

from addonkit import TenantModel
from tortoise import fields
from tortoise.indexes import Index

ACCOUNT_ID_LENGTH = 128


class Poll(TenantModel):
    """A question put to the readers of a page.

    Attributes:
        key: What the macro in the page stores; random, so that nobody meets a poll by counting.
        question: The question, plain text.
        several: Whether a voter may choose more than one option.
        closes_at: When voting ends, UTC; None is never.
        author_id: Account id of whoever made it.
        draft: The editor's name for the dialog in which it was made; a second save from there finds the first one.
        revision: Grows with each change, so that nobody overwrites a change that they have not seen.
        created_at: When it was made, UTC.
    """

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
        """Where it is stored."""

        table = "macro_poll"
        unique_together = (("tenant_id", "key"), ("tenant_id", "author_id", "draft"))


class Place(TenantModel):
    """That a poll has been seen on a page or in a blog post; a copied page shows the poll as well.

    Attributes:
        poll: The poll.
        content_id: The host's number for the page or the blog post.
    """

    id = fields.BigIntField(primary_key=True)
    poll: fields.ForeignKeyRelation[Poll] = fields.ForeignKeyField(
        "macro.Poll", related_name="places", on_delete=fields.CASCADE
    )
    poll_id: int
    content_id = fields.CharField(max_length=64)

    class Meta:
        """Where it is stored."""

        table = "macro_place"
        unique_together = (("poll", "content_id"),)
        indexes = (Index(fields=("tenant_id", "content_id")),)


class Option(TenantModel):
    """One answer that a poll offers.

    Attributes:
        poll: The poll that offers it.
        key: Its name within the poll; stays when the text or the order changes, and its votes with it.
        text: What it says, plain text.
        position: Its place, from 0.
    """

    id = fields.BigIntField(primary_key=True)
    poll: fields.ForeignKeyRelation[Poll] = fields.ForeignKeyField(
        "macro.Poll", related_name="options", on_delete=fields.CASCADE
    )
    poll_id: int
    key = fields.CharField(max_length=32)
    text = fields.CharField(max_length=120)
    position = fields.SmallIntField()

    class Meta:
        """Where it is stored."""

        table = "macro_option"
        unique_together = (("poll", "key"),)


class Vote(TenantModel):
    """That one account has answered one poll.

    A poll belongs to one site, so that poll and account together are unique within the site as well.

    Attributes:
        poll: The poll.
        account_id: Who answered.
        cast_at: When they first did, UTC.
    """

    id = fields.BigIntField(primary_key=True)
    poll: fields.ForeignKeyRelation[Poll] = fields.ForeignKeyField(
        "macro.Poll", related_name="votes", on_delete=fields.CASCADE
    )
    poll_id: int
    account_id = fields.CharField(max_length=ACCOUNT_ID_LENGTH)
    cast_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        """Where it is stored."""

        table = "macro_vote"
        unique_together = (("poll", "account_id"),)


class Choice(TenantModel):
    """One option that a vote names: a vote in a poll of several choices has several.

    Attributes:
        vote: The vote.
        option: What it names.
    """

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
        """Where it is stored."""

        table = "macro_choice"
        unique_together = (("vote", "option"),)

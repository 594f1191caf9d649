"""What an author has written in the editor, and whether it makes a poll. Pure: no rows, no requests."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime

QUESTION_LENGTH = 300
OPTION_LENGTH = 120
FEWEST_OPTIONS = 2
MOST_OPTIONS = 10
LAST_YEAR = 2100
_KEY = re.compile(r"[0-9a-f]{32}")
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class DraftInvalid(Exception):
    """A draft that makes no poll.

    Args:
        fields: A sentence for each field that is wrong: ``question``, ``options``, ``closes_at``, ``option-<key>``.
    """

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(next(iter(fields.values())))
        self.fields = fields


@dataclass(frozen=True, slots=True)
class DraftOption:
    """An option as written.

    Attributes:
        key: 32 hexadecimal digits, chosen by the editor when the option was added.
        text: What it says.
    """

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A poll as written.

    Attributes:
        question: The question.
        options: The options in their order.
        several: Whether voters may choose more than one.
        closes_at: When voting ends; None is never.
    """

    question: str
    options: tuple[DraftOption, ...]
    several: bool
    closes_at: datetime | None


def is_key(text: str) -> bool:
    """Whether the text can name a poll, an option or a draft: 32 lower-case hexadecimal digits."""
    return _KEY.fullmatch(text) is not None


def tidy(text: str) -> str:
    """The text on one line, without what nobody can see: control characters, surplus spaces, halves of characters."""
    return " ".join(_NOT_TEXT.sub(" ", unicodedata.normalize("NFC", text)).split())


def check(draft: Draft, *, now: datetime, closed_before: datetime | None = None) -> Draft:
    """The draft made tidy.

    Args:
        draft: As written.
        now: The server's time.
        closed_before: The closing time that the poll has already; it may lie in the past.

    Raises:
        DraftInvalid: It makes no poll; every wrong field is named.
    """
    options = tuple(replace(option, text=tidy(option.text)) for option in draft.options)
    question = tidy(draft.question)
    wrong = {**_question_faults(question), **_option_faults(options)}
    closes_at = draft.closes_at
    if closes_at is not None:
        if not 2000 < closes_at.year < LAST_YEAR:
            wrong["closes_at"] = f"the closing time must lie between now and the year {LAST_YEAR}; choose another"
        else:
            closes_at = closes_at.astimezone(UTC).replace(second=0, microsecond=0)
            if closes_at <= now and closes_at != closed_before:
                wrong["closes_at"] = "the closing time lies in the past; choose a later one"
    if wrong:
        raise DraftInvalid(wrong)
    return Draft(question, options, draft.several, closes_at)


def _question_faults(question: str) -> dict[str, str]:
    if not question:
        return {"question": "the question is empty; write one"}
    if len(question) > QUESTION_LENGTH:
        return {"question": f"the question has {len(question)} characters; shorten it to {QUESTION_LENGTH}"}
    return {}


def _option_faults(options: tuple[DraftOption, ...]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if len(options) < FEWEST_OPTIONS:
        wrong["options"] = f"a poll needs at least {FEWEST_OPTIONS} options; add one"
    elif len(options) > MOST_OPTIONS:
        wrong["options"] = f"a poll takes at most {MOST_OPTIONS} options and this one has {len(options)}; remove some"
    elif not all(is_key(key) for key in _keys(options)) or len(set(_keys(options))) < len(options):
        wrong["options"] = "an option's key is malformed or used twice; close the editor and open it again"
    seen: Counter[str] = Counter()
    for option in options[:MOST_OPTIONS]:
        seen[option.text.casefold()] += 1
        if not option.text:
            wrong[f"option-{option.key}"] = "this option is empty; write something or remove it"
        elif len(option.text) > OPTION_LENGTH:
            wrong[f"option-{option.key}"] = (
                f"this option has {len(option.text)} characters; shorten it to {OPTION_LENGTH}"
            )
        elif seen[option.text.casefold()] > 1:
            wrong[f"option-{option.key}"] = f"the option '{option.text}' is there already; change one of them"
    return wrong


def _keys(options: tuple[DraftOption, ...]) -> list[str]:
    return [option.key for option in options]

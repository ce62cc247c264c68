"""Chat: answers to questions, each of which rests on passages that the caller may see."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from docmill_api import metrics
from docmill_api.answering import Passage, Turn, citations, quotes
from docmill_api.answering.citations import Answer
from docmill_api.passages import Scope
from docmill_api.resources import Resources
from docmill_api.search import Mode, search
from docmill_shared.errors import ConfigurationError, TextRejected, TransientError
from docmill_shared.observability import get_logger
from docmill_shared.provider_metrics import provider_call

_NO_ANSWER = Answer("Nothing that was found in your files answers this question.", [])
#: Questions that are searched for together: "And without sun?" means nothing alone.
_QUESTIONS = 2
#: Characters of a query, as many as a search takes.
_LONGEST_QUERY = 2_000

log = get_logger(__name__)


class Why(StrEnum):
    """Why an answer is quotes although a model might have written one."""

    NO_MODEL = "no_model"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_DECLINED = "model_declined"
    NOT_GROUNDED = "not_grounded"

    def sentence(self, *, quoted: bool) -> str:
        """For people; ``quoted``: there is something to quote."""
        if quoted:
            return f"{_SENTENCES[self]}, so these are the passages that fit best, word for word."
        return f"{_SENTENCES[self]}, and no passage has enough of the question's words to quote."


_SENTENCES = {
    Why.NO_MODEL: "No language model is configured",
    Why.MODEL_UNAVAILABLE: "The language model cannot be reached now",
    Why.MODEL_DECLINED: "The language model declined to answer",
    Why.NOT_GROUNDED: "The language model's answer named no passage",
}


@dataclass(frozen=True, slots=True)
class Cited:
    """A passage that the answer rests on."""

    number: int  #: the marker in the answer's text
    row: Row[Any]
    quote: str | None  #: words of the passage


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with what it rests on; without citations it says that there is none."""

    text: str
    citations: Sequence[Cited]
    model: str | None  #: None: no model wrote this
    why: Why | None
    degraded: bool  #: as in a search


def chat(
    resources: Resources,
    caller_id: UUID,
    *,
    turns: Sequence[Turn],
    scope: Scope,
    file_ids: list[UUID] | None,
    limit: int,
) -> Reply:
    """Answer the last turn from at most ``limit`` passages.

    Costs one search and one call of the model. Where the model does not answer, passages are
    quoted; it is not asked where nothing was found.
    """
    query = _query(turns)
    found = search(
        resources,
        caller_id,
        query=query,
        mode=Mode.HYBRID,
        scope=scope,
        file_ids=file_ids,
        limit=limit,
    )
    passages = [
        Passage(row.file_name, row.page_start, row.page_end, row.heading_path, row.text)
        for row in found.rows
    ]
    model, why = None, None
    answer: Answer | Why = _NO_ANSWER
    if passages:
        answer = _written(resources, turns, passages)
    if isinstance(answer, Why):
        why, answer = answer, quotes.quoted(query, passages)
        answer = answer if answer.citations else _NO_ANSWER
    elif passages and resources.answerer is not None:
        model = resources.answerer.model
    by = "nothing" if not answer.citations else "quotes" if why else "model"
    metrics.CHATS.labels(by).inc()
    cited = [Cited(each.number, found.rows[each.passage], each.quote) for each in answer.citations]
    return Reply(answer.text, cited, model, why, found.degraded)


def _query(turns: Sequence[Turn]) -> str:
    """The question, after the one before it; its end if they are too long."""
    questions = [turn.text for turn in turns if turn.role == "user"]
    return "\n".join(questions[-_QUESTIONS:])[-_LONGEST_QUERY:]


def _written(
    resources: Resources, turns: Sequence[Turn], passages: Sequence[Passage]
) -> Answer | Why:
    """What the model answers, checked; or why it has no answer for the caller."""
    answerer = resources.answerer
    if answerer is None:
        return Why.NO_MODEL
    with _slot(resources) as free:
        if not free:
            return Why.MODEL_UNAVAILABLE
        try:
            with provider_call(resources.settings.provider, "answer"):
                draft = answerer.answer(turns, passages)
        except TextRejected:
            return Why.MODEL_DECLINED
        except (TransientError, ConfigurationError) as error:
            # A wrong key is the operator's to mend, and loud; what callers see of it is the same.
            level = log.error if isinstance(error, ConfigurationError) else log.warning
            level("question not answered", error=type(error).__name__, reason=str(error))
            return Why.MODEL_UNAVAILABLE
    if not draft.answered:
        return _NO_ANSWER
    answer = citations.checked(draft, passages)
    return answer if answer.citations else Why.NOT_GROUNDED


@contextmanager
def _slot(resources: Resources) -> Iterator[bool]:
    """Whether one more question may be with the model, so that slow answers leave threads free."""
    free = resources.answer_slots.acquire(blocking=False)
    try:
        yield free
    finally:
        if free:
            resources.answer_slots.release()

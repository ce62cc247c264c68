"""Answers from passages, behind one port.

A model writes, or the passages speak for themselves (:mod:`docmill_api.answering.quotes`). What
either says reaches a caller only through :mod:`docmill_api.answering.citations`, which lets no
statement pass that rests on no passage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side of a conversation said."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """What an answer may rest on."""

    file_name: str
    page_start: int | None
    page_end: int | None
    heading_path: Sequence[str]
    text: str


@dataclass(frozen=True, slots=True)
class Quote:
    """Words of a passage, as its reader says; whether they stand there is checked later."""

    number: int  #: of the passage, from 1
    words: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer nobody has checked: markers such as ``[2]`` name passages, counted from 1."""

    answered: bool  #: whether the passages have the answer, in the opinion of whoever wrote it
    text: str
    quotes: Sequence[Quote]


class Answerer(Protocol):
    """A model that answers. Safe to call from several threads at once."""

    @property
    def model(self) -> str:
        """The model that writes."""

    def answer(self, turns: Sequence[Turn], passages: Sequence[Passage]) -> Draft:
        """Answer the last turn, which is a user's, from these passages.

        Raises ``RateLimited``, ``ProviderUnavailable`` and ``ConfigurationError`` as an
        ``Embedder`` does, and ``TextRejected`` when the model declines to answer.
        """

    def close(self) -> None:
        """Give connections back. Closing twice is harmless."""


def build_answerer(
    *, api_key: str | None, model: str | None, base_url: str | None, timeout: float
) -> Answerer:
    """The Gemini answerer; ``timeout``, in seconds, bounds the wait for an answer.

    Raises ``ConfigurationError`` for an unusable key or URL.
    """
    # Imported here: where no model is configured, its SDK need not be loaded.
    from docmill_api.answering.gemini import GeminiAnswerer
    from docmill_shared.gemini_client import GeminiClient

    client = GeminiClient(api_key=api_key, base_url=base_url, timeout=timeout)
    return GeminiAnswerer(client, model)

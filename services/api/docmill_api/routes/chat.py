"""Chat."""

import time
from typing import Annotated, Literal
from uuid import UUID

from flask import Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError

from docmill_api import chat as chatting
from docmill_api.answering import Turn
from docmill_api.answers import WRONG_BODY, answer
from docmill_api.chat import Why
from docmill_api.client_input import STORABLE, WHOLE, Requested
from docmill_api.current import caller, resources
from docmill_api.passages import Scope
from docmill_api.routes.blueprints import protected
from docmill_api.routes.search import FoundPassage

blueprint = protected(
    "chat", "/v1/chat", "Answers to questions, with the passages that they rest on.", scope="search"
)


class Message(Requested):
    """What one side said."""

    role: Literal["user", "assistant"]
    content: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000), STORABLE
    ]


def _ends_with_a_question(messages: list[Message]) -> list[Message]:
    if messages[-1].role != "user":
        raise PydanticCustomError("messages", "must end with a message of the user")
    return messages


class ChatRequest(Requested):
    """A conversation, whose last message is the question. docmill keeps none of it."""

    messages: Annotated[
        list[Message], Field(min_length=1, max_length=20), AfterValidator(_ends_with_a_question)
    ] = Field(
        description="Oldest first; the last one is the user's.",
        examples=[[{"role": "user", "content": "How long does the battery last without sun?"}]],
    )
    scope: Scope = Field(
        Scope.ALL, description="`all`: your files and public ones; `mine`; `public`."
    )
    file_ids: list[UUID] | None = Field(
        None, min_length=1, max_length=100, description="Only from these files."
    )
    limit: Annotated[int, Field(ge=1, le=20), WHOLE] = Field(
        8, description="Passages that the answer may rest on."
    )


class Citation(FoundPassage):
    """A passage that the answer rests on."""

    number: int = Field(description="The answer says `[1]` where it rests on number 1.")
    quote: str | None = Field(
        description="The words that count: they stand in the passage, line breaks aside."
    )


class Notice(BaseModel):
    """Why no model wrote the answer."""

    code: Why = Field(description="Stable; for programs.")
    detail: str = Field(description="One sentence; for people.")


class ChatAnswer(BaseModel):
    """The answer, and what it rests on."""

    answer: str = Field(description="Plain text, in which `[1]` leads to a citation.")
    answered: bool = Field(
        description="Whether anything that was found has the answer; where it is false, `answer`"
        " says so."
    )
    citations: list[Citation]
    model: str | None = Field(
        description="Which one wrote the answer; null where it is quotes, and `notice` says why."
    )
    notice: Notice | None
    degraded: bool = Field(
        description="The question could not be embedded, so that passages were found by words."
    )
    took_ms: float


@blueprint.post(
    "",
    responses={
        200: ChatAnswer,
        **WRONG_BODY,
    },
)
def chat(body: ChatRequest) -> Response:
    """Answer a question from your files and public ones.

    Every answer names the passages that it rests on. Where no model is configured, or the model
    cannot be reached, it consists of quotes, and `notice` says so.
    """
    started = time.perf_counter()
    reply = chatting.chat(
        resources(),
        caller().id,
        turns=[Turn(each.role, each.content) for each in body.messages],
        scope=body.scope,
        file_ids=body.file_ids,
        limit=body.limit,
    )
    return answer(
        ChatAnswer(
            answer=reply.text,
            answered=bool(reply.citations),
            citations=[
                Citation.of(each.row, number=each.number, quote=each.quote)
                for each in reply.citations
            ],
            model=reply.model,
            notice=_notice(reply),
            degraded=reply.degraded,
            took_ms=round((time.perf_counter() - started) * 1000, 1),
        )
    )


def _notice(reply: chatting.Reply) -> Notice | None:
    if reply.why is None:
        return None
    return Notice(code=reply.why, detail=reply.why.sentence(quoted=bool(reply.citations)))

"""Questions to the api, and the conversation that they become."""

import json
from typing import Any

import pytest

from docmill_client import Client, DocmillError, InvalidRequest, Message, Notice, Reply
from tests.fakes.stub_api import StubApi, problem
from tests.unit.client.bodies import chat_body, citation_body

CHAT = "POST /v1/chat"
LIMITS = {"messages": 20, "characters": 4_000}


def asked(stub: StubApi) -> dict[str, Any]:
    """What came last."""
    body = json.loads(stub.to(CHAT)[-1].body)
    assert isinstance(body, dict)
    return body


def turns(count: int) -> tuple[Message, ...]:
    """Question and answer by turns, a question first."""
    return tuple(
        Message(("user", "assistant")[number % 2], f"message {number}") for number in range(count)
    )


def test_a_question_without_wishes(stub: StubApi, client: Client) -> None:
    stub.tell(CHAT, (200, chat_body()))

    client.chat("How long?")

    messages = [{"role": "user", "content": "How long?"}]
    assert asked(stub) == {"messages": messages, "scope": "all", "limit": 8}


def test_a_question_passes_its_wishes_on(stub: StubApi, client: Client) -> None:
    stub.tell(CHAT, (200, chat_body()))

    client.chat("How long?", scope="mine", file_ids=("f1", "f2"), limit=3)

    wishes = asked(stub)
    del wishes["messages"]
    assert wishes == {"scope": "mine", "file_ids": ["f1", "f2"], "limit": 3}


def test_an_answer_names_what_it_rests_on(stub: StubApi, client: Client) -> None:
    whole = citation_body(2, page_start=None, page_end=None, heading_path=[], quote=None)
    stub.tell(CHAT, (200, chat_body("Ten days [1][2].", citations=[citation_body(), whole])))

    reply = client.chat("How long?")

    assert (reply.answer, reply.answered, reply.model) == ("Ten days [1][2].", True, "m-1")
    assert (reply.notice, reply.degraded, reply.took_ms) == (None, False, 1.5)
    first, second = reply.citations
    assert (first.number, first.quote) == (1, "it lasts ten days")
    assert first.passage.citation == "handbook.pdf, pages 5–6: 4 Power › 4.1 Battery"
    assert first.passage.text == "Without sun it lasts ten days."
    assert first.passage.score is None
    assert (second.number, second.quote, second.passage.pages) == (2, None, "")


def test_an_answer_that_no_model_wrote_says_why(stub: StubApi, client: Client) -> None:
    notice = {"code": "no_model", "detail": "No language model is configured."}
    stub.tell(CHAT, (200, chat_body(model=None, notice=notice, degraded=True)))

    reply = client.chat("How long?")

    assert reply.model is None
    assert reply.notice == Notice("no_model", "No language model is configured.")
    assert reply.degraded


def test_what_nothing_answers(stub: StubApi, client: Client) -> None:
    stub.tell(CHAT, (200, chat_body("Nothing answers this.", answered=False, citations=[])))

    reply = client.chat("How long?")

    assert (reply.answered, reply.citations) == (False, [])
    assert reply.answer == "Nothing answers this."


def test_the_next_question_goes_with_what_was_said(stub: StubApi, client: Client) -> None:
    stub.tell(CHAT, (200, chat_body("Ten days [1].")), (200, chat_body("The heating [1].")))

    first = client.chat("How long?")
    second = client.chat("What goes off first?", history=first.history)

    said = [
        {"role": "user", "content": "How long?"},
        {"role": "assistant", "content": "Ten days [1]."},
        {"role": "user", "content": "What goes off first?"},
    ]
    assert asked(stub)["messages"] == said
    assert [each.content for each in second.history[2:]] == [
        "What goes off first?",
        "The heating [1].",
    ]


def test_a_long_conversation_forgets_its_beginning(stub: StubApi, client: Client) -> None:
    stub.tell(CHAT, (200, chat_body("Answered.")))
    reply = client.chat("Question 0?")
    for number in range(1, 15):
        reply = client.chat(f"Question {number}?", history=reply.history)
        messages = asked(stub)["messages"]
        assert len(messages) <= LIMITS["messages"]
        assert messages[0]["role"] == messages[-1]["role"] == "user"
        assert messages[-1]["content"] == f"Question {number}?"

    assert messages[-3]["content"] == "Question 13?"
    assert len(messages) == 19, "nine answers and the question after them"


@pytest.mark.parametrize("count", [18, 19, 20, 21, 60])
def test_a_history_of_ones_own_is_shortened(stub: StubApi, client: Client, count: int) -> None:
    stub.tell(CHAT, (200, chat_body()))

    client.chat("And now?", history=turns(count))

    messages = asked(stub)["messages"]
    assert 19 <= len(messages) <= LIMITS["messages"]
    assert messages[0]["role"] == "user"
    assert messages[-2]["content"] == f"message {count - 1}"


def test_of_a_long_answer_the_beginning_is_remembered() -> None:
    body = chat_body("x" * 3_990 + " " + "y" * 4_000)

    reply = Reply.of(body, [Message("user", "How long?")])

    assert len(reply.answer) == 7_991
    assert reply.history[1].content == "x" * 3_990 + " " + "y" * 9


def test_an_empty_message_is_not_remembered() -> None:
    reply = Reply.of(chat_body(" \n"), [Message("user", "How long?")])

    assert reply.history == (Message("user", "How long?"),)


def test_a_question_may_be_repeated_and_a_mistake_is_not(stub: StubApi, client: Client) -> None:
    stub.tell(CHAT, problem(503, "database_unavailable"), (200, chat_body()))
    assert client.chat("How long?").answer == "Ten days [1]."

    stub.tell(CHAT, problem(422, "validation_failed"))
    with pytest.raises(InvalidRequest):
        client.chat("x" * 5_000)
    assert stub.came(CHAT) == 3


def test_what_is_no_text_is_refused_with_a_sentence(stub: StubApi, client: Client) -> None:
    with pytest.raises(DocmillError, match="not valid Unicode") as caught:
        client.chat("what is in caf\udce9.pdf?")

    assert caught.value.code == "not_unicode"
    assert stub.came(CHAT) == 0

"""Who may be called: nobody keeps the others waiting."""

from uuid import UUID, uuid4

from docmill_janitor.webhook_slots import (
    AILING,
    EACH_HOST,
    EACH_OWNER,
    EACH_WEBHOOK,
    SLOTS,
    UNPROVEN,
    Slots,
)
from docmill_shared.webhooks.attempts import DueWebhook


def due(count: int = 1, *, owner: UUID | None = None, host: str | None = None) -> list[DueWebhook]:
    """So many webhooks, of one owner each and at hosts of their own if nothing is said."""
    return [
        DueWebhook(uuid4(), owner or uuid4(), f"https://{host or f'{uuid4()}.example.org'}/hook")
        for _ in range(count)
    ]


def used(slots: Slots, webhooks: list[DueWebhook], *, well: bool) -> None:
    """They were called, and it went well or not."""
    for each in webhooks:
        assert slots.take([each]) == {each.id: 1}
        slots.give_back(each.id, well=well)


def test_who_is_new_has_one_slot_and_who_answered_well_a_few() -> None:
    slots = Slots()
    (webhook,) = due()
    assert slots.take([webhook]) == {webhook.id: 1}
    assert slots.take([webhook]) == {}
    slots.give_back(webhook.id, well=True)
    assert slots.take([webhook]) == {webhook.id: EACH_WEBHOOK}
    slots.give_back(webhook.id, EACH_WEBHOOK)
    assert slots.free == SLOTS


def test_everybody_has_one_before_anybody_has_two() -> None:
    slots = Slots()
    webhooks = due(SLOTS)
    used(slots, webhooks, well=True)
    assert slots.take(webhooks) == dict.fromkeys([each.id for each in webhooks], 1)


def test_those_go_first_whose_turn_was_longest_ago() -> None:
    slots = Slots()
    webhooks = due(UNPROVEN + 4)
    first = slots.take(webhooks)
    for each in first:
        slots.give_back(each, well=False)
    late = {each.id for each in webhooks} - first.keys()
    assert len(late) == 4
    assert late <= slots.take(webhooks).keys()


def test_targets_that_do_not_answer_never_have_more_than_half() -> None:
    slots = Slots()
    dead, alive = due(100), due(1)
    used(slots, dead, well=False)
    taken = slots.take(dead)
    assert len(taken) == AILING
    assert set(taken.values()) == {1}
    assert slots.take(alive) == {alive[0].id: 1}


def test_new_targets_leave_room_for_those_that_are_known() -> None:
    slots = Slots()
    known = due(1)
    used(slots, known, well=True)
    assert len(slots.take(due(100))) == UNPROVEN
    assert slots.take(known) == {known[0].id: SLOTS - UNPROVEN}


def test_a_target_that_answers_again_is_well_again() -> None:
    slots = Slots()
    (webhook,) = due()
    used(slots, [webhook], well=False)
    used(slots, [webhook], well=True)
    assert slots.take([webhook]) == {webhook.id: EACH_WEBHOOK}


def test_one_host_and_one_owner_have_half_at_most() -> None:
    slots = Slots()
    assert len(slots.take(due(SLOTS, host="busy.example.org"))) == EACH_HOST
    slots = Slots()
    assert len(slots.take(due(SLOTS, owner=uuid4()))) == EACH_OWNER
    assert slots.free == SLOTS - EACH_OWNER


def test_what_was_not_used_is_given_back() -> None:
    slots = Slots()
    webhooks = due(UNPROVEN)
    for each in slots.take(webhooks):
        slots.give_back(each)
    assert slots.free == SLOTS
    assert len(slots.take(webhooks)) == UNPROVEN

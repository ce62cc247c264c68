"""The state machine is drawn once (README) and coded once (states.py)."""

import re
from pathlib import Path

import pytest

from docmill_shared.states import FINAL, TRANSITIONS, FileStatus

README = Path(__file__).parents[2] / "README.md"


def test_readme_draws_the_same_machine() -> None:
    diagram = re.search(r"```mermaid\s+stateDiagram-v2(.*?)```", README.read_text(), re.S)
    assert diagram, "the README has a stateDiagram-v2"
    drawn = {
        (source, target)
        for source, target in re.findall(r"(\w+|\[\*\]) --> (\w+|\[\*\])", diagram[1])
        if "[*]" not in (source, target)
    }
    coded = {(str(s), str(t)) for s, targets in TRANSITIONS.items() for t in targets}
    assert drawn == coded


def test_every_state_can_end_and_be_deleted() -> None:
    for status in FileStatus:
        if status is not FileStatus.DELETING:
            assert FileStatus.DELETING in TRANSITIONS[status]


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_final_state_leaves_only_by_an_owner(status: FileStatus) -> None:
    assert TRANSITIONS[status] <= {FileStatus.QUEUED, FileStatus.DELETING}

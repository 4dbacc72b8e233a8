"""What mypy and pyright say about programs that use the package: about right ones nothing, about
wrong ones why.

Each program in `programs/` says what is expected of each checker in comments above the line in
question, as `# mypy says code: words of the message`. Whatever else a checker says fails the test.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.typing import checkers
from tests.typing.checkers import PROGRAMS, Said

ALL = sorted(PROGRAMS.glob("*.py"))

pytestmark = pytest.mark.deadline(120)


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def checked(request: pytest.FixtureRequest) -> tuple[str, dict[Path, list[Said]]]:
    """A checker, and what it says about all programs."""
    return request.param, getattr(checkers, request.param)()


@pytest.mark.parametrize("program", ALL, ids=lambda path: path.stem)
def test_a_checker_says_about_a_program_what_stands_there(checked, program):
    checker, said = checked
    surplus = list(said.get(program, []))
    missing = []
    for one in checkers.expected(program, checker):
        found = next((at for at in surplus if at[:2] == one[:2] and one.words in at.words), None)
        if found is None:
            missing.append(one)
        else:
            surplus.remove(found)

    assert surplus == []
    assert missing == []


@pytest.mark.parametrize("program", ALL, ids=lambda path: path.stem)
def test_a_wrong_program_is_refused_and_a_right_one_is_not(program):
    is_refused = bool(checkers.expected(program, "mypy"))

    assert is_refused == program.name.startswith("wrong_")

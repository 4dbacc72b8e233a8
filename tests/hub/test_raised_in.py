"""What logs an exception finds the context variables of the code that raised it."""

from __future__ import annotations

from contextvars import Context, ContextVar, copy_context

import pytest

from tina4_wsgi.hub.raised_in import remember, run_there

user: ContextVar[str] = ContextVar("user", default="nobody")


def context_of(name: str) -> Context:
    context = copy_context()
    context.run(user.set, name)
    return context


@pytest.fixture
def seen() -> list[tuple[str, tuple[object, ...], dict[str, object]]]:
    return []


def test_what_is_called_for_an_error_runs_where_that_was_raised(seen: list[object]) -> None:
    def note(*args: object, **keywords: object) -> None:
        seen.append((user.get(), args, keywords))

    error = LookupError("bad")
    remember(error, context_of("ada"))

    run_there(error, note, 1, 2, level=3)

    assert seen == [("ada", (1, 2), {"level": 3})]


@pytest.mark.parametrize("error", [None, LookupError("bad")])
def test_without_such_a_context_it_runs_in_the_current_one(
    error: BaseException | None, seen: list[object]
) -> None:
    def note(*args: object, **keywords: object) -> None:
        seen.append((user.get(), args, keywords))

    context_of("bob").run(run_there, error, note, 1, level=3)

    assert seen == [("bob", (1,), {"level": 3})]


def test_the_context_is_used_once_and_not_kept(seen: list[object]) -> None:
    error = LookupError("bad")
    remember(error, context_of("ada"))

    for _ in range(2):
        run_there(error, lambda: seen.append(user.get()))

    assert seen == ["ada", "nobody"]
    assert vars(error) == {}

"""What `make legacy` looks for in a server's log: tracebacks that lead through our modules."""

from __future__ import annotations

from legacy.running import OURS, tracebacks_of_ours

BEGIN = "Traceback (most recent call last):\n"
FRAME = f'  {OURS}app.py", line 1, in __call__\n    return self._http()\n'
THEIRS = '  File "/site-packages/trac/web/main.py", line 1, in dispatch\n'


def test_a_traceback_through_our_modules_is_found():
    assert tracebacks_of_ours(f"x\n{BEGIN}{THEIRS}{FRAME}KeyError: 1\ny\n") == [
        f"{BEGIN}{THEIRS}{FRAME}"
    ]


def test_a_traceback_of_the_application_alone_is_its_own_affair():
    assert tracebacks_of_ours(f"{BEGIN}{THEIRS}KeyError: 1\n") == []


def test_a_stack_in_the_warning_of_a_held_loop_is_no_traceback():
    assert tracebacks_of_ours(f"{BEGIN}{THEIRS}KeyError: 1\nthe loop is held\n{FRAME}") == []

"""The table of limits in docs/security.md says what the code says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from tina4_wsgi.config import Config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
ROW = re.compile(r"^\| `(\w+)` \| ([\d ]+) \|", re.MULTILINE)


def test_its_limits_are_the_defaults():
    defaults = {item.name: item.default for item in dataclasses.fields(Config)}
    told = {name: int(number.replace(" ", "")) for name, number in ROW.findall(PAGE.read_text())}

    assert len(told) > 10
    assert told == {name: defaults[name] for name in told}

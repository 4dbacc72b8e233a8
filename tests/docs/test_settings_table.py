"""The README's table of settings says what the code says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tina4_wsgi.config import Config

README = Path(__file__).resolve().parents[2] / "README.md"


def row(item: dataclasses.Field[object]) -> str:
    """Lay out the line of one setting."""
    setting = item.metadata["setting"]
    default = {True: "on", False: "off", (): "none"}.get(item.default, item.default)  # type: ignore[call-overload]
    if isinstance(item.default, int | float) and not isinstance(item.default, bool):
        default = f"{item.default:,g}" if item.default < 1e6 else f"{item.default:,}"
    per_route = "yes" if setting.per_route else ""
    return (
        f"| `{item.name}` | {str(default).replace(',', ' ')} | {setting.unit} | {per_route} | "
        f"{setting.reason} |"
    )


def test_the_table_has_every_setting_with_its_default_unit_and_reason() -> None:
    lines = README.read_text().splitlines()

    missing = [row(item) for item in dataclasses.fields(Config) if row(item) not in lines]

    assert missing == []

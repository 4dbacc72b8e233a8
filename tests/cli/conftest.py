"""What several commands are tried with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.kept import History
from tina4_wsgi.backplane.isolation import isolation


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    """A history that the commands of this test find; nothing serves."""
    monkeypatch.setenv("TINA4_WS_HISTORY_DIR", str(tmp_path / "kept"))
    monkeypatch.setenv("TINA4_WS_BUS_DIR", str(tmp_path / "bus"))
    monkeypatch.setattr(isolation, "is_on", False)  # a `TestClient` of an earlier test set it
    history = History(tmp_path / "kept")
    yield history
    history.close()

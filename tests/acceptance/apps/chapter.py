"""The chapter's examples without any patches, which workers that have no hub do without."""

from __future__ import annotations

from pathlib import Path

from tina4_wsgi import App

app = App(root=Path(__file__).resolve().parents[3] / "examples" / "chapter")

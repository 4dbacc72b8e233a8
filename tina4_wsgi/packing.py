"""The hook of PyInstaller, which finds it by the entry point in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

__all__ = ["hook_folders"]


def hook_folders() -> list[str]:
    """Return the folders with hooks for PyInstaller."""
    return [str(Path(__file__).resolve().parent / "hooks")]

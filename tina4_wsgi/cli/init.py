"""`tina4-wsgi init`: a project to begin with, a chat that runs at once.

It copies the files of `cli/project`. File names there that tools would pick up end in `.tpl`, and
hidden files begin with `dot`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .command import PROGRAM, CommandFailed, Subcommand

if TYPE_CHECKING:
    import argparse

_FILES = Path(__file__).resolve().parent / "project"
_MASK = ".tpl"
_HARMLESS = frozenset({".git"})  # a folder with nothing else counts as empty

_DESCRIPTION = f"""\
Makes a small project in a new or empty folder: a chat with routes, templates, public files and
a test.

  {PROGRAM} init shop
  cd shop
  {PROGRAM} serve --reload           then open http://127.0.0.1:7148 in two windows
  python -m unittest
"""

_NEXT = """\
{count} files made in {folder}

  cd {folder}
  {program} serve --reload    and open http://127.0.0.1:7148 in two windows
  python -m unittest           runs its test
"""


def init(arguments: argparse.Namespace) -> int:
    """Write the project; the `init` command.

    Raises:
        CommandFailed: the folder isn't empty, or can't be written.
    """
    folder: Path = arguments.folder
    try:
        made = make_project(folder)
    except OSError as exc:
        raise CommandFailed(
            f"{exc.filename or folder} can't be written: {exc.strerror or exc}"
        ) from exc
    print(_NEXT.format(count=len(made), folder=folder, program=PROGRAM), end="")
    return 0


def make_project(folder: Path) -> list[Path]:
    """Write all files of the project, and return their paths.

    Raises:
        CommandFailed: `folder` is a file, or isn't empty.
        OSError: a file can't be written.
    """
    if folder.exists() and not folder.is_dir():
        raise CommandFailed(f"{folder} is a file, expected a folder that is new or empty")
    if folder.exists() and {one.name for one in folder.iterdir()} - _HARMLESS:
        raise CommandFailed(f"{folder} is not empty, expected a folder that is new or empty")

    sources = sorted(path for path in _FILES.rglob("*") if path.is_file())
    if not sources:
        raise CommandFailed(f"this package was packed without its own files: {_FILES} is missing")

    made = []
    for source in sources:
        path = folder / _unmasked(source.relative_to(_FILES))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
        made.append(path)
    return made


def _unmasked(path: Path) -> Path:
    name = path.name.removesuffix(_MASK)
    return path.with_name(name.removeprefix("dot") if name.startswith("dot.") else name)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that is new or empty")


COMMAND = Subcommand("init", "make a project to begin with", _DESCRIPTION, _add_options, init)

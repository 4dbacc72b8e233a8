"""Discovery: which modules are imported, in which order, and how a failure reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tina4_wsgi.errors import ConfigError, RouteError
from tina4_wsgi.routing.discovery import discover
from tina4_wsgi.routing.router import Router


@pytest.fixture(autouse=True)
def _leave_no_modules(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(Router, "default", Router())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(root: Path, name: str, code: str | None = None) -> Path:
    """Write a module below src/routes; by default one that registers "/<its name>"."""
    path = root / "src" / "routes" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    importing = "from tina4_wsgi.routing.router import Router\n"
    default = f"{importing}Router.get('/{name}', lambda request, response: __name__)\n"
    path.write_text(default if code is None else code)
    return path


def paths() -> list[str]:
    return [route.path for route in Router.routes]


def test_modules_are_imported_in_the_order_of_their_names(tmp_path):
    for name in ("b.py", "a/z.py", "a.py", "10.py", "a/b/c.py", "chat-room.py", "9.py"):
        write(tmp_path, name)

    modules = discover(tmp_path)

    assert paths() == ["/10.py", "/9.py", "/a.py", "/a/b/c.py", "/a/z.py", "/b.py", "/chat-room.py"]
    assert [Path(str(module.__file__)).name for module in modules] == [
        "10.py",
        "9.py",
        "a.py",
        "c.py",
        "z.py",
        "b.py",
        "chat-room.py",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "_private.py",
        "_private/a.py",
        "__pycache__/a.py",
        ".hidden.py",
        ".git/a.py",
        "notes.txt",
        "a.pyc",
        "sub/_private.py",
        "sub/__init__.py",
    ],
)
def test_private_hidden_and_other_files_are_left_out(tmp_path, name):
    write(tmp_path, name)

    assert discover(tmp_path) == ()
    assert paths() == []


def test_twice_is_harmless_and_finds_what_is_new(tmp_path):
    write(tmp_path, "a.py")
    first = discover(tmp_path)
    write(tmp_path, "b.py")

    second = discover(tmp_path)

    assert paths() == ["/a.py", "/b.py"]
    assert second[0] is first[0]


def test_two_roots_with_the_same_names_do_not_collide(tmp_path):
    write(tmp_path / "one", "chat.py", "WHO = 'one'")
    write(tmp_path / "two", "chat.py", "WHO = 'two'")

    (one,), (two,) = discover(tmp_path / "one"), discover(tmp_path / "two")

    assert (one.WHO, two.WHO) == ("one", "two")
    assert one.__name__ != two.__name__


def test_the_same_root_by_another_path_is_the_same(tmp_path, monkeypatch):
    write(tmp_path, "a.py")
    (tmp_path / "link").symlink_to(tmp_path)
    first = discover(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert discover(tmp_path / "link") == first
    assert discover(Path()) == first
    assert paths() == ["/a.py"]


def test_a_module_may_import_its_neighbours(tmp_path):
    write(tmp_path, "_shared.py", "NAME = 'shared'")
    write(tmp_path, "sub/_more.py", "from .._shared import NAME")
    write(tmp_path, "sub/chat.py", "from ._more import NAME")

    (module,) = discover(tmp_path)

    assert module.NAME == "shared"


def test_a_package_of_routes_runs_its_init_first(tmp_path):
    write(tmp_path, "__init__.py", "STEPS = ['top']")
    write(tmp_path, "sub/__init__.py", "from .. import STEPS\nSTEPS.append('sub')")
    write(tmp_path, "sub/a.py", "from .. import STEPS\nSTEPS.append('a')")

    (module,) = discover(tmp_path)

    assert module.STEPS == ["top", "sub", "a"]


def test_a_root_without_routes_has_none(tmp_path):
    assert discover(tmp_path) == ()


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("1 / 0", ZeroDivisionError),
        ("import nothing_of_this_name", ModuleNotFoundError),
        ("def broken(:", SyntaxError),
    ],
)
@pytest.mark.parametrize("name", ["sub/chat-room.py", "__init__.py"])
def test_a_module_that_fails_is_named_and_the_cause_kept(tmp_path, name, code, cause):
    path = write(tmp_path, name, code)
    write(tmp_path, "other.py", "")

    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            discover(tmp_path)

        assert str(caught.value).startswith(f"{path} can't be imported: {cause.__name__}: ")
        assert isinstance(caught.value.__cause__, cause)


@pytest.mark.parametrize("name", ["bad.py", "__init__.py"])
def test_a_bad_route_is_refused_as_everywhere(tmp_path, name):
    path = write(
        tmp_path,
        name,
        "from tina4_wsgi.routing.router import Router\nRouter.get('/:id')(lambda a, b: 1)\n",
    )

    with pytest.raises(RouteError) as caught:
        discover(tmp_path)

    assert str(caught.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize("name", ["v1.2/a.py", "chat.room.py"])
def test_a_dot_in_a_name_is_refused_because_python_reads_it_as_a_folder(tmp_path, name):
    path = write(tmp_path, name)

    with pytest.raises(ConfigError, match=r"a dot in '.*', write '(v1-2|chat-room)'") as caught:
        discover(tmp_path)

    assert str(path) in str(caught.value)

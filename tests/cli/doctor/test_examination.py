"""`tina4-wsgi doctor`: each thing that is wrong is one line with its fix; what is right is not
mentioned. Notes, which tell what each kind of server asks of an app, are no faults.

The libraries in C are stand-ins of one attribute each, the one that the check reads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support import nursery
from tests.support.command import PATH, RUN_S
from tests.support.nursery import Nursery

IMPORTED = "import tina4_wsgi.cli.main, tina4_wsgi.cli.doctor.examination"
COMMAND = """
import os, runpy, sys
sys.path.insert(0, os.getcwd())
runpy.run_module("tina4_wsgi", run_name="__main__", alter_sys=True)
"""

PATCH = "from gevent import monkey; monkey.patch_all()\n"
APP = """
from tina4_wsgi import App, Router

router = Router()


@router.websocket("/ws/x"{options})
def x(connection, event, data):
    pass


app = App(router=router{settings})
"""


_nurseries: list[Nursery] = []


@pytest.fixture(scope="module", autouse=True)
def _examiners_are_born() -> Iterator[None]:
    """Have a process that has imported what this command does before it looks at an app."""
    python = (sys.executable, "-W", "error")
    with nursery.opened(python, IMPORTED, {**os.environ, **PATH}) as one:
        _nurseries.append(one)
        yield
        _nurseries.clear()


def run(folder: Path, *arguments: str) -> CompletedProcess[str]:
    """Run `tina4-wsgi ARGUMENTS` to its end, as `command.run` does."""
    (born,) = _nurseries
    argv = ["tina4-wsgi", *arguments]
    return born.run(COMMAND, folder, RUN_S, argv=argv, env={**os.environ, **PATH})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which nothing is wrong."""
    for name in ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TINA4_WS_BACKPLANE", "none")
    monkeypatch.setenv("TINA4_WS_MAX_CONNECTIONS", "100")
    write_app(tmp_path)
    return tmp_path


def write_app(folder: Path, before: str = PATCH, *, options: str = "", settings: str = "") -> None:
    (folder / "wsgi.py").write_text(before + APP.format(options=options, settings=settings))


def lines(done: CompletedProcess[str], exit_code: int) -> list[str]:
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if not line.startswith("note: ")]


def notes(done: CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("note: ")]


def write_files(folder: Path, files: dict[str, str]) -> None:
    for name, source in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)


def test_where_nothing_is_wrong_it_says_so(folder: Path) -> None:
    assert lines(run(folder, "doctor"), 0) == ["nothing is wrong"]


def test_an_app_that_leaves_patching_to_its_server_is_right(folder: Path) -> None:
    write_app(folder, before="from time import sleep\n")

    assert lines(run(folder, "doctor", "wsgi:app"), 0) == ["nothing is wrong"]


def test_a_module_that_was_imported_before_the_patch_is_named(folder: Path) -> None:
    (folder / "early.py").write_text("from time import sleep\n")
    write_app(folder, before=f"import early\n{PATCH}")

    (line,) = lines(run(folder, "doctor"), 1)

    assert line.startswith(
        "fatal: patched too late: early holds time.sleep, which block all others; put "
    )


def test_the_served_module_may_itself_be_too_early(folder: Path) -> None:
    write_app(folder, before=f"from time import sleep\n{PATCH}")

    (line,) = lines(run(folder, "doctor"), 1)

    assert line.startswith("fatal: patched too late: wsgi holds time.sleep")


def test_the_served_module_may_ask_for_an_original(folder: Path) -> None:
    write_app(folder, before=f"{PATCH}sleep = monkey.get_original('time', 'sleep')\n")

    assert lines(run(folder, "doctor"), 0) == ["nothing is wrong"]


@pytest.mark.parametrize(
    "held",
    [
        "from socket import create_connection",
        "from select import poll",
        "from subprocess import run",
        "from queue import SimpleQueue",
        "from threading import Lock",
        "from ssl import SSLContext",
    ],
)
def test_whatever_blocks_is_named(folder: Path, held: str) -> None:
    (folder / "early.py").write_text(f"{held}\n")
    write_app(folder, before=f"import early\n{PATCH}")

    (line,) = lines(run(folder, "doctor"), 1)

    assert line.startswith("fatal: patched too late: early holds ")


def test_thread_locals_that_all_greenlets_share_are_a_warning(folder: Path) -> None:
    (folder / "early.py").write_text("from threading import local\n")
    write_app(folder, before=f"import early\n{PATCH}")

    (line,) = lines(run(folder, "doctor"), 0)

    assert line.startswith("warning: patched too late: early holds ")
    assert "one user's data is seen by all others" in line


@pytest.mark.parametrize(
    "held",
    [
        "from queue import Queue, LifoQueue",
        "from threading import Event, Thread",
        "from ssl import SSLSocket",
    ],
)
def test_what_waits_as_gevent_does_although_it_was_there_before_is_right(
    folder: Path, held: str
) -> None:
    (folder / "early.py").write_text(f"{held}\n")
    write_app(folder, before=f"import early\n{PATCH}")

    assert lines(run(folder, "doctor"), 0) == ["nothing is wrong"]


@pytest.mark.parametrize(
    "source",
    [
        "from gevent.monkey import get_original\nsleep = get_original('time', 'sleep')\n",
        "import gevent.monkey\nsleep, Lock = (gevent.monkey.get_original(*one) for one in "
        "(('time', 'sleep'), ('threading', 'Lock')))\n",
        "def original():\n    from gevent import monkey\n    return monkey.get_original('select', "
        "'poll')\n"
        "poll = original()\n",
        "import gevent.monkey\nrun = gevent.monkey.saved['subprocess']['run']\n",
    ],
)
def test_who_asks_for_an_original_behind_the_patch_gets_it_and_is_right(
    folder: Path, source: str
) -> None:
    (folder / "profiler.py").write_text(source)
    write_app(folder, before=f"{PATCH}import profiler\n")

    assert lines(run(folder, "doctor"), 0) == ["nothing is wrong"]


def test_who_knows_of_gevent_is_right_before_the_patch_too(folder: Path) -> None:
    source = "from gevent.monkey import get_original\nsleep = get_original('time', 'sleep')\n"
    (folder / "profiler.py").write_text(source)
    write_app(folder, before=f"import profiler\n{PATCH}")

    assert lines(run(folder, "doctor"), 0) == ["nothing is wrong"]


@pytest.mark.parametrize("agent", ["newrelic", "ddtrace", "opentelemetry", "sentry_sdk"])
def test_an_agent_that_wants_to_be_imported_first_may(folder: Path, agent: str) -> None:
    (folder / agent / "vendored").mkdir(parents=True)
    (folder / agent / "__init__.py").write_text("from . import vendored\n")
    (folder / agent / "vendored" / "__init__.py").write_text(
        "from socket import create_connection\n"
    )
    write_app(folder, before=f"import {agent}\n{PATCH}")

    assert lines(run(folder, "doctor"), 0) == ["nothing is wrong"]


@pytest.mark.parametrize(
    ("files", "what", "fix"),
    [
        (
            {
                "psycopg2/__init__.py": "",
                "psycopg2/extensions.py": "def get_wait_callback(): return None\n",
            },
            "psycopg2 waits in C",
            "psycogreen",
        ),
        (
            {"psycopg/__init__.py": "__version__ = '3.1.13'\n"},
            "psycopg 3.1.13 waits",
            "psycopg>=3.1.14",
        ),
        (
            {
                "grpc/__init__.py": "",
                "grpc/_cython/__init__.py": "",
                "grpc/_cython/cygrpc.py": "g_gevent_activated = False\n",
            },
            "grpc waits in C",
            "init_gevent()",
        ),
    ],
    ids=["psycopg2", "psycopg", "grpc"],
)
def test_a_library_that_waits_in_c_is_fatal(
    folder: Path, files: dict[str, str], what: str, fix: str
) -> None:
    write_files(folder, files)
    names = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files]
    write_app(folder, before=PATCH + "".join(f"import {name}\n" for name in names))

    (line,) = lines(run(folder, "doctor"), 1)

    assert line.startswith(f"fatal: {what}")
    assert fix in line


def test_a_library_that_was_told_about_gevent_is_right(folder: Path) -> None:
    (folder / "psycopg.py").write_text("__version__ = '3.2.0.dev1'\n")
    (folder / "psycopg2").mkdir()
    (folder / "psycopg2" / "__init__.py").write_text("")
    (folder / "psycopg2" / "extensions.py").write_text("def get_wait_callback(): return print\n")
    write_app(folder, before=f"{PATCH}import psycopg, psycopg2.extensions\n")

    assert lines(run(folder, "doctor"), 0) == ["nothing is wrong"]


@pytest.mark.parametrize(
    ("name", "version", "is_old"),
    [
        ("werkzeug", "2.3.8", True),
        ("werkzeug", "3.0.6", False),
        ("jinja2", "3.0.3", True),
        ("jinja2", "3.1.4", False),
    ],
)
def test_a_library_with_a_hole_that_was_closed_later_is_a_warning(
    folder: Path, name: str, version: str, is_old: bool
) -> None:
    (folder / f"{name}-{version}.dist-info").mkdir()
    (folder / f"{name}-{version}.dist-info" / "METADATA").write_text(
        f"Name: {name}\nVersion: {version}\n"
    )

    (line,) = lines(run(folder, "doctor"), 0)

    assert line.startswith(f"warning: {name} {version} ") if is_old else line == "nothing is wrong"


@pytest.mark.parametrize(
    "settings",
    ["worker_class = 'gthread'", "threads = 4", "timeout = 60", "preload_app = True"],
)
def test_a_worker_without_gevent_is_right(folder: Path, settings: str) -> None:
    (folder / "gunicorn.conf.py").write_text(f"{settings}\n")
    write_app(folder, before="from time import sleep\n")

    assert lines(run(folder, "doctor"), 0) == ["nothing is wrong"]


@pytest.mark.parametrize("worker_class", ["tornado", "nowhere.Worker"])
def test_a_worker_class_that_gives_no_sockets_is_fatal(folder: Path, worker_class: str) -> None:
    (folder / "gunicorn.conf.py").write_text(f"worker_class = {worker_class!r}\n")
    write_app(folder, before="")

    (line,) = lines(run(folder, "doctor"), 1)

    assert line == (
        f"fatal: gunicorn's worker class is {worker_class!r}, which can't hand over its sockets, "
        "so every upgrade is answered 501; choose gunicorn's sync, gthread or gevent worker"
    )


@pytest.mark.parametrize(
    "worker_class",
    [
        "gevent",
        "gevent_pywsgi",
        "gunicorn.workers.ggevent.GeventWorker",
        "geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
        "tina4_wsgi.worker.Worker",
    ],
)
def test_every_worker_class_of_gevent_is_right(folder: Path, worker_class: str) -> None:
    (folder / "gunicorn.conf.py").write_text(f"worker_class = {worker_class!r}\n")
    write_app(folder, before="")

    done = run(folder, "doctor")

    assert lines(done, 0) == ["nothing is wrong"]
    (note,) = notes(done)
    assert note.startswith(
        f"note: under gunicorn's worker class {worker_class!r} callbacks run in greenlets of "
        "a patched process, up to 1000 at once (max_callbacks)"
    )


DRIVER = {
    "psycopg2/__init__.py": "",
    "psycopg2/extensions.py": "def get_wait_callback(): return None\n",
}


def test_where_the_server_is_unknown_both_ways_are_named_with_what_each_needs(
    folder: Path,
) -> None:
    write_app(folder, before="")

    done = run(folder, "doctor")

    assert lines(done, 0) == ["nothing is wrong"]
    greenlets, threads = notes(done)
    assert greenlets.startswith("note: under gunicorn -k gevent and tina4-wsgi serve callbacks run")
    assert "greenlets of a patched process" in greenlets
    assert threads.startswith("note: under gunicorn's sync and gthread workers, flask run, ")
    assert "nothing is patched" in threads
    assert "up to 10 at once (callback_threads)" in threads
    assert "10 more connections" in threads
    assert "threading.local" in threads


def test_what_a_gevent_worker_alone_needs_is_no_fault_where_the_server_is_unknown(
    folder: Path,
) -> None:
    write_files(folder, DRIVER)
    (folder / "gunicorn.conf.py").write_text("preload_app = True\n")
    write_app(folder, before="import psycopg2.extensions\n")

    done = run(folder, "doctor")

    assert lines(done, 0) == ["nothing is wrong"]
    _, driver, preload, _ = notes(done)
    assert driver.startswith("note: there, psycopg2 waits in C, so a query holds up all others; ")
    assert "psycogreen" in driver
    assert preload.startswith("note: there, gunicorn preloads the app before anything is patched; ")
    assert PATCH.strip() in preload


def test_nobody_with_a_worker_that_has_threads_is_told_to_patch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINA4_WS_CALLBACK_THREADS", "7")
    write_files(folder, DRIVER)
    (folder / "packaging.py").write_text("raise ImportError('there is no packaging here')\n")
    (folder / "gunicorn.conf.py").write_text("worker_class = 'gthread'\npreload_app = True\n")
    write_app(folder, before="import psycopg2.extensions\n")

    done = run(folder, "doctor")

    assert lines(done, 0) == ["nothing is wrong"]
    (note,) = notes(done)
    assert note.startswith("note: under gunicorn's worker class 'gthread' callbacks run in native ")
    assert "up to 7 at once (callback_threads)" in note
    assert "monkey" not in note
    assert "psycogreen" not in note


def test_an_app_that_patches_itself_has_greenlets_under_every_server(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text("worker_class = 'gthread'\n")

    (note,) = notes(run(folder, "doctor"))

    assert note.startswith("note: since this app patches itself, callbacks run in greenlets")


def test_gunicorns_variable_counts_and_several_workers_need_a_backplane(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "-k gevent -w 3")

    (line,) = lines(run(folder, "doctor"), 1)

    assert line.startswith("fatal: 3 workers and nothing between them")
    assert "-w 1" in line


def test_preloading_an_app_that_is_not_patched_is_fatal_under_gevent(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text("worker_class = 'gevent'\npreload_app = True\n")
    write_app(folder, before="")

    found = lines(run(folder, "doctor"), 1)

    assert any(
        line.startswith("fatal: gunicorn preloads the app before anything is patched; ")
        for line in found
    )


def test_settings_that_gunicorn_cannot_read_are_named(folder: Path) -> None:
    (folder / "gunicorn.conf.py").write_text("worker_class = \n")

    (line,) = lines(run(folder, "doctor"), 1)

    assert line.startswith("fatal: gunicorn can't read its settings: SyntaxError")


def test_gunicorn_without_its_extra_is_fatal_under_gevent(folder: Path) -> None:
    (folder / "packaging.py").write_text("raise ImportError('there is no packaging here')\n")
    (folder / "gunicorn.conf.py").write_text("worker_class = 'gevent'\n")

    (line,) = lines(run(folder, "doctor"), 1)

    assert "there is no packaging here" in line
    assert line.endswith("pip install 'gunicorn[gevent]'")


def test_a_limit_on_files_below_the_cap_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINA4_WS_MAX_CONNECTIONS", "9000000")

    (line,) = lines(run(folder, "doctor"), 0)

    assert line.startswith("warning: the limit on open files leaves room for ")
    assert "ulimit -n 9000064" in line


@pytest.mark.parametrize(
    ("origin", "is_right"),
    [
        ("https://example.org", True),
        ("http://localhost:8080", True),
        ("*", True),
        ("example.org", False),
        ("https://example.org/", False),
        ("https://example.org/shop", False),
        ("wss://example.org", False),
    ],
)
def test_an_origin_that_no_page_has_is_fatal(folder: Path, origin: str, is_right: bool) -> None:
    write_app(folder, options=f", allowed_origins=[{origin!r}]")

    done = run(folder, "doctor")

    assert (done.returncode, f"allowed_origins: {origin!r}" in done.stderr) == (
        (0, False) if is_right else (1, True)
    )


def test_the_apps_own_origins_are_refused_too(folder: Path) -> None:
    write_app(folder, settings=", allowed_origins=['example.org']")

    assert "allowed_origins: 'example.org' has no scheme, write" in run(folder, "doctor").stderr


@pytest.mark.parametrize(
    ("origin", "fix"),
    [
        ("https://shop.example", None),
        ("https://*.shop.example", None),
        ("http://localhost:8080", None),
        ("https://shop.example/", 'write "https://shop.example"'),
        ("https://shop.example:443", 'write "https://shop.example"'),
        ("https://Shop.example", 'write "https://shop.example"'),
        ("wss://shop.example", 'write "https://shop.example"'),
        ("https://b\u00fccher.example", 'write "https://xn--bcher-kva.example"'),
        ("https://*", "write it as scheme, host"),
    ],
)
def test_an_origin_of_djangos_own_list_that_no_page_has_is_fatal(
    folder: Path, origin: str, fix: str | None
) -> None:
    write_app(folder)
    with (folder / "wsgi.py").open("a") as file:
        file.write(
            "import "
            f"django.conf\ndjango.conf.settings.configure(CSRF_TRUSTED_ORIGINS=[{origin!r}])\n"
        )

    (line,) = lines(run(folder, "doctor"), 0 if fix is None else 1)

    if fix is None:
        assert line.startswith("nothing is wrong")
    else:
        assert line.startswith(f"fatal: CSRF_TRUSTED_ORIGINS: {origin!r} matches no page")
        assert fix in line


SOCKET_IO = """
import socketio
from tina4_wsgi import App, Router

inner = socketio.WSGIApp(socketio.Server(async_mode={mode!r}), socketio_path="chat.io")
app = {app}
"""


@pytest.mark.parametrize(
    ("mode", "app", "is_named"),
    [
        ("gevent", "inner", True),
        ("gevent", "App(inner, router=Router())", True),
        ("gevent", "App(inner, router=Router(), gevent_websocket_paths='/other')", True),
        ("gevent", "App(inner, router=Router(), gevent_websocket_paths='/chat.io')", False),
        ("threading", "App(inner, router=Router())", False),
    ],
)
def test_the_paths_that_want_gevent_websockets_key_are_named(
    folder: Path, mode: str, app: str, is_named: bool
) -> None:
    (folder / "wsgi.py").write_text(PATCH + SOCKET_IO.format(mode=mode, app=app))

    (line,) = lines(run(folder, "doctor"), 0)

    if is_named:
        assert line.startswith(
            "warning: WebSockets below /chat.io ask for environ['wsgi.websocket']"
        )
        assert "gevent_websocket_paths='/chat.io'" in line
        assert 'under a server with threads, async_mode="threading"' in line
    else:
        assert line == "nothing is wrong"


def test_a_resource_of_gevent_websocket_is_named(folder: Path) -> None:
    source = "from geventwebsocket.resource import Resource\napp = Resource([])\n"
    (folder / "wsgi.py").write_text(PATCH + source)

    (line,) = lines(run(folder, "doctor"), 0)

    assert line.startswith("warning: WebSockets below / ask for environ['wsgi.websocket']")


def test_an_app_that_cannot_be_loaded_is_named(folder: Path) -> None:
    done = run(folder, "doctor", "nowhere:app")

    assert done.returncode == 1
    assert "there is no module 'nowhere'" in done.stderr

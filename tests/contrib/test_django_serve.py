"""`manage.py tina4serve`: pages, static files and WebSockets at one address, and a new process
after each change.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.contrib import django_house
from tests.contrib.django_house import SITE, VERSIONS, Site, hear
from tests.support import servers
from tests.support.servers import Server
from tina4_wsgi.contrib.django.reloading import patched_command

pytestmark = pytest.mark.deadline(60)

CHANGE_S = 20.0
POLL_S = 0.1
GREETING = '"user": name_of(request().user)'


def project_in(folder: Path, version: str = "newest", **settings: Any) -> dict[str, str]:
    """Copy the project with its database, to be changed, and give the variables to run it with."""
    shutil.copytree(SITE, folder / "site", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(django_house.prepared_database(version), folder / "db.sqlite3")
    env = django_house.environment(version, str(folder / "db.sqlite3"), {"DEBUG": True, **settings})
    return {
        **env,
        "PYTHONPATH": env["PYTHONPATH"].replace(str(SITE), ""),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextlib.contextmanager
def managing(folder: Path, env: dict[str, str], *arguments: str) -> Iterator[Server]:
    """Run `manage.py tina4serve` of the project in `folder`, from another folder as its users
    might.
    """
    log_path = folder / "log"
    command = [*servers.PYTHON, str(folder / "site" / "manage.py"), "tina4serve", *arguments]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, (servers.LOOPBACK, 0), log_path)
    try:
        yield server
    finally:
        server.end()


def address_of(server: Server, number: int = 1) -> Site:
    """Wait until it listens for the n-th time, and give the running site."""
    found = server.wait_for_log(r"(?s)" + r".*?http://127\.0\.0\.1:(\d+)" * number)
    server.address = (servers.LOOPBACK, int(found[number]))
    return Site(server)


def check_ctrl_c_is_graceful(site: Site) -> None:
    """Send what a terminal sends to both processes: a client hears 1001, and the command ends with
    0.
    """
    process = site.server.process
    with site.open("/ws/probe/a") as client:
        hear(client)
        os.killpg(process.pid, signal.SIGINT)

        assert client.read_close() == 1001
        client.send_close(1001)
    assert process.wait(servers.STOP_S) == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_it_serves_pages_static_files_and_websockets_and_stops_gracefully(tmp_path, version):
    env = project_in(tmp_path, version)
    (tmp_path / "site" / "notes" / "static").mkdir()
    (tmp_path / "site" / "notes" / "static" / "notes.js").write_text("// a script")
    with managing(tmp_path, env, "0") as server:
        site = address_of(server)

        assert site.get("/text")[2] == b"hello"
        assert site.get("/static/notes.js")[2] == b"// a script"
        with site.open("/ws/probe/a", site.log_in("ada"), Origin=server.url) as client:
            assert hear(client)["user"] == "ada"
            server.process.send_signal(signal.SIGINT)

            assert client.read_close() == 1001
            client.send_close(1001)
        assert server.process.wait(servers.STOP_S) == 0


def test_a_ctrl_c_in_the_terminal_is_heard_by_both_processes_and_still_graceful(tmp_path):
    with managing(tmp_path, project_in(tmp_path), "0") as server:
        site = address_of(server)
        check_ctrl_c_is_graceful(site)


def test_a_changed_file_is_served_by_a_new_process_and_clients_are_told(tmp_path):
    with managing(tmp_path, project_in(tmp_path), "0") as server:
        site = address_of(server)
        routes = tmp_path / "site" / "notes" / "websockets.py"
        with site.open("/ws/probe/a") as client:
            hear(client)
            rewrite(routes, GREETING, '"user": "changed"')

            assert client.read_close() == 1001
            client.send_close(1001)
        with address_of(server, 2).open("/ws/probe/a") as client:
            assert hear(client)["user"] == "changed"


def test_a_broken_file_is_waited_for(tmp_path):
    with managing(tmp_path, project_in(tmp_path), "0") as server:
        address_of(server)
        routes = tmp_path / "site" / "notes" / "websockets.py"
        rewrite(routes, GREETING, '"user": oops(')
        server.wait_for_log("SyntaxError")
        server.wait_for_log(
            "the server ended with exit code 1; it starts again when a file has changed"
        )
        rewrite(routes, '"user": oops(', '"user": "mended"')

        with address_of(server, 2).open("/ws/probe/a") as client:
            assert hear(client)["user"] == "mended"


def test_while_the_project_is_broken_visitors_wait_for_what_mends_it(tmp_path):
    answers: list[bytes] = []
    with managing(tmp_path, project_in(tmp_path), "0") as server:
        site = address_of(server)
        views = tmp_path / "site" / "project" / "views.py"
        rewrite(views, '"hello"', '"hello" oops')
        server.wait_for_log("it starts again when a file has changed")
        ask = partial(urlopen, f"{site.server.url}/text", timeout=CHANGE_S)
        visitor = threading.Thread(target=lambda: answers.append(ask().read()))
        visitor.start()

        rewrite(views, '"hello" oops', '"mended"')
        visitor.join(CHANGE_S)

        assert answers == [b"mended"]


def test_a_manage_py_that_patches_does_not_keep_the_process_above_from_its_work(tmp_path):
    env = project_in(tmp_path)
    manage, views = tmp_path / "site" / "manage.py", tmp_path / "site" / "project" / "views.py"
    manage.write_text(f"from gevent import monkey; monkey.patch_all()\n{manage.read_text()}")
    with managing(tmp_path, env, "0") as server:
        address_of(server)
        rewrite(views, '"hello"', '"changed"')
        site = address_of(server, 2)
        assert site.get("/text")[2] == b"changed"
        check_ctrl_c_is_graceful(site)


def rewrite(path: Path, old: str, new: str) -> None:
    """Change a file, with a time of change that differs also where clocks are coarse."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    later = time.time() + 2
    os.utime(path, (later, later))


def test_without_the_process_above_the_server_stops(tmp_path):
    with managing(tmp_path, project_in(tmp_path), "0") as server:
        site = address_of(server)
        with site.open("/ws/probe/a") as client:
            hear(client)
            server.process.kill()

            assert client.read_close() == 1001
            client.send_close(1001)
            client.read_to_end()
        server.process.wait(servers.STOP_S)
        give_up_at = time.monotonic() + CHANGE_S
        while is_listening(site.server.address):
            assert time.monotonic() < give_up_at, "the child is still there"
            time.sleep(POLL_S)


def is_listening(address: tuple[str, int]) -> bool:
    """Try to connect."""
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(address, 1):
        return True
    return False


def test_without_reloading_one_process_serves(tmp_path):
    with managing(tmp_path, project_in(tmp_path), "0", "--noreload") as server:
        site = address_of(server)
        with site.open("/ws/probe/a") as client:
            hear(client)
            server.process.terminate()

            assert client.read_close() == 1001
            client.send_close(1001)
        assert server.process.wait(servers.STOP_S) == 0


def test_a_project_that_is_not_wrapped_is_wrapped_here(tmp_path):
    env = project_in(tmp_path, WSGI_APPLICATION="project.wsgi.bare")
    with (
        managing(tmp_path, env, "0", "--noreload") as server,
        address_of(server).open("/ws/probe/a") as client,
    ):
        assert hear(client)["user"] == "nobody"


@pytest.mark.parametrize("options", [[], ["--noreload"]], ids=["reloading", "--noreload"])
def test_a_port_in_use_is_said_in_one_sentence(tmp_path, options):
    with socket.create_server((servers.LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with managing(tmp_path, project_in(tmp_path), f"127.0.0.1:{port}", *options) as server:
            assert server.process.wait(servers.READY_S) == 4
            assert (
                f"can't listen on 127.0.0.1, port {port}: it is in use; stop what listens there"
                in server.log
            )


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (
            ["eight"],
            {},
            "'eight' is no address, expected a port or address:port, as 8000 or 127.0.0.1:8000",
        ),
        (["127.0.0.1:70000"], {}, "'127.0.0.1:70000' is no address"),
        (["0"], {"DEBUG": False, "ALLOWED_HOSTS": []}, "DEBUG is False and ALLOWED_HOSTS is empty"),
    ],
)
def test_what_can_not_be_is_said_in_one_sentence(tmp_path, arguments, settings, sentence):
    with managing(tmp_path, project_in(tmp_path, **settings), *arguments) as server:
        assert server.process.wait(servers.READY_S) == 1
        assert sentence in server.log
        assert "Traceback" not in server.log


def test_called_by_a_program_it_says_what_to_patch(tmp_path):
    program = "from django.core.management import call_command; call_command('tina4serve', '0')"
    env = {
        **os.environ,
        **project_in(tmp_path),
        "PYTHONPATH": django_house.environment("newest", "")["PYTHONPATH"],
    }
    done = subprocess.run(
        [*servers.PYTHON, "-c", f"import django; django.setup(); {program}"],
        cwd=SITE,
        text=True,
        timeout=20,
        env={**env, "DJANGO_SETTINGS_MODULE": "project.settings"},
        capture_output=True,
        check=False,
    )

    assert (
        "expected `from gevent import monkey; monkey.patch_all()` as manage.py's first line"
        in done.stderr
    )


@pytest.mark.parametrize(
    ("command", "tail"),
    [
        (
            ["python", "-Werror", "-Xdev", "site/manage.py", "tina4serve", "-v"],
            ["tina4serve", "-v"],
        ),
        (["python", "-m", "django", "tina4serve"], ["django", "tina4serve"]),
    ],
)
def test_the_patched_command_keeps_options_and_arguments(command, tail):
    patched = patched_command(command)

    assert patched[-len(tail) :] == tail
    assert [word for word in patched if word.startswith(("-W", "-X"))] == [
        word for word in command if word.startswith(("-W", "-X"))
    ]

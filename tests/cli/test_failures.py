"""What `tina4-wsgi` says when it can't do what is asked: one sentence, and an exit code."""

from __future__ import annotations

import re
import socket
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec

import pytest

from tests.support.command import run
from tina4_wsgi.cli.main import COMMANDS, engine_kind, main

APP = "def app(environ, start_response):\n    pass\n"


def fail(folder, *arguments):
    """Run a `serve` that must fail, and give what it printed on stderr."""
    done = run(folder, "serve", "--port", "0", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


def test_a_folder_without_anything_to_serve(tmp_path):
    assert fail(tmp_path) == (
        f"tina4-wsgi: there is neither a wsgi.py nor a src folder in {tmp_path}; "
        "name the application as module:app, or put routes into src/routes\n"
    )


@pytest.mark.parametrize("target", ["missing:app", "missing", "pack.missing:app"])
def test_a_module_that_is_not_there(tmp_path, target):
    (tmp_path / "pack").mkdir()
    module = target.partition(":")[0]

    assert (
        fail(tmp_path, target)
        == f"tina4-wsgi: there is no module {module!r} in {tmp_path}, nor is one installed\n"
    )


@pytest.mark.parametrize("target", ["wsgi.py", "./wsgi.py:app", "", ":app", "a b:c"])
def test_a_name_that_is_no_modules(tmp_path, target):
    (tmp_path / "wsgi.py").write_text(APP)

    assert (
        fail(tmp_path, target)
        == f"tina4-wsgi: {target!r} names no module, expected module:app as in wsgi:app\n"
    )


def test_a_module_without_the_application(tmp_path):
    (tmp_path / "wsgi.py").write_text("x = 1\n")

    assert fail(tmp_path) == "tina4-wsgi: module 'wsgi' has no 'app'\n"


@pytest.mark.parametrize(
    ("name", "spelling"), [("application", "application"), ("create_app", "create_app()")]
)
def test_a_module_whose_application_has_another_name(tmp_path, name, spelling):
    (tmp_path / "wsgi.py").write_text(APP.replace("app", name))

    assert fail(tmp_path) == (
        f"tina4-wsgi: module 'wsgi' has no 'app', but it has {name!r}: try wsgi:{spelling}\n"
    )


def test_an_application_that_can_not_be_called(tmp_path):
    (tmp_path / "wsgi.py").write_text("app = 'x'\n")

    assert fail(tmp_path) == (
        "tina4-wsgi: 'wsgi' is of type str, expected a WSGI application, which can be called\n"
    )


def test_an_error_in_the_users_code_shows_the_users_traceback(tmp_path):
    (tmp_path / "wsgi.py").write_text("def load():\n    return 1 / 0\n\nload()\n")

    lines = fail(tmp_path).splitlines()

    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{tmp_path}/wsgi.py", line 4, in <module>'
    assert lines[-2:] == [
        "ZeroDivisionError: division by zero",
        "tina4-wsgi: wsgi.py:2: ZeroDivisionError: division by zero",
    ]
    assert not [line for line in lines if "tina4_wsgi/" in line or "importlib" in line]


def test_a_route_that_is_refused_is_one_sentence_with_its_place(tmp_path):
    routes = tmp_path / "src" / "routes"
    routes.mkdir(parents=True)
    (routes / "bad.py").write_text(
        "from tina4_wsgi import Router\n\n@Router.websocket('/ws/:id')\ndef bad(connection, event, "
        "data):\n    pass\n"
    )

    assert fail(tmp_path) == (
        f"tina4-wsgi: {routes}/bad.py:3: route '/ws/:id' refused: "
        "':id' in '/ws/:id' is no parameter, write '/ws/{id}'\n"
    )


def test_a_setting_that_is_wrong_shows_the_users_line_and_none_of_ours(tmp_path):
    (tmp_path / "wsgi.py").write_text(
        "from tina4_wsgi import App\napp = App(max_connections='x')\n"
    )

    lines = fail(tmp_path).splitlines()

    assert f'  File "{tmp_path}/wsgi.py", line 2, in <module>' in lines
    assert lines[-2].endswith("ConfigError: max_connections='x', expected int")
    assert sum(line.startswith("  File ") for line in lines) == 1


def test_an_error_that_arises_in_the_package_shows_the_way_there(tmp_path):
    (tmp_path / "wsgi.py").write_text(
        "from tina4_wsgi.routing import pattern\npattern.parse(None)\n"
    )

    assert "tina4_wsgi/routing/pattern.py" in fail(tmp_path)


def test_a_module_that_the_users_code_misses_shows_where(tmp_path):
    (tmp_path / "wsgi.py").write_text("import flusk\n")

    printed = fail(tmp_path)

    assert f'File "{tmp_path}/wsgi.py", line 1' in printed
    assert "No module named 'flusk'" in printed


def test_a_mistake_in_spelling_shows_the_line(tmp_path):
    (tmp_path / "wsgi.py").write_text("app = (\n")

    printed = fail(tmp_path)

    assert f'File "{tmp_path}/wsgi.py", line 1' in printed
    assert "SyntaxError" in printed


@pytest.mark.parametrize(
    ("files", "last"),
    [
        (
            {"wsgi.py": "import src.routes.chat\n", "src/routes/chat.py": "x = 1\nif x\n"},
            "src/routes/chat.py:2: SyntaxError: expected ':'",
        ),
        (
            {
                "wsgi.py": "from tina4_wsgi import App\napp = App()\n",
                "src/routes/chat.py": "\nimport missing_one\n",
            },
            "src/routes/chat.py:2: ModuleNotFoundError: No module named 'missing_one'",
        ),
        (
            {"wsgi.py": "import json\napp = json.loads('{')\n"},
            "wsgi.py:2: json.decoder.JSONDecodeError: Expecting property name enclosed in double "
            "quotes",
        ),
        (
            {"wsgi.py": "from tina4_wsgi import App\n\napp = App(max_conections=3)\n"},
            "wsgi.py:3: tina4_wsgi.errors.ConfigError: unknown app setting 'max_conections'; did "
            "you mean 'max_connections'?",
        ),
    ],
    ids=["syntax", "missing module", "inside a library", "a setting"],
)
def test_the_last_line_says_where_the_users_code_failed_and_how(tmp_path, files, last):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert fail(tmp_path).splitlines()[-1].startswith(f"tina4-wsgi: {last}")


def test_an_error_in_a_route_of_src_shows_the_route(tmp_path):
    routes = tmp_path / "src" / "routes"
    routes.mkdir(parents=True)
    (routes / "bad.py").write_text("1 / 0\n")

    printed = fail(tmp_path)

    assert f'File "{routes}/bad.py", line 1' in printed
    assert (
        printed.splitlines()[-1]
        == "tina4-wsgi: src/routes/bad.py:1: ZeroDivisionError: division by zero"
    )


def test_a_setting_that_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("TINA4_WS_MAX_HEADER_COUNT", "1")
    (tmp_path / "wsgi.py").write_text(APP)

    assert fail(tmp_path) == "tina4-wsgi: max_header_count=1, expected at least 10 header fields\n"


def test_a_port_that_is_taken(tmp_path):
    (tmp_path / "wsgi.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        assert fail(tmp_path, "--port", str(port)) == (
            f"tina4-wsgi: port {port} on 127.0.0.1 is already in use; "
            "stop the program that listens there, or choose another port with --port\n"
        )


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_this_machines(tmp_path, host):
    (tmp_path / "wsgi.py").write_text(APP)

    assert fail(tmp_path, "--host", host) == (
        f"tina4-wsgi: {host} is no address of this machine; choose another with --host\n"
    )


def test_a_unix_socket_that_is_taken(tmp_path):
    (tmp_path / "wsgi.py").write_text(APP)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "web.sock"))
        other.listen()

        assert fail(tmp_path, "--bind", "unix:web.sock") == (
            "tina4-wsgi: web.sock is already in use; stop its server, or choose another path with "
            "--bind\n"
        )


def test_a_unix_socket_in_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "wsgi.py").write_text(APP)

    assert fail(tmp_path, "--bind", "unix:no/web.sock") == (
        "tina4-wsgi: can't listen on no/web.sock: No such file or directory\n"
    )


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_certificate_that_can_not_be_read(tmp_path, content):
    (tmp_path / "wsgi.py").write_text(APP)
    if content is not None:
        (tmp_path / "web.pem").write_text(content)

    printed = fail(tmp_path, "--certfile", "web.pem")

    assert printed.startswith("tina4-wsgi: the certificate web.pem can't be used: ")
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dance"], "invalid choice: 'dance'"),
        (["serve", "--port", "x"], "'x', expected a port from 0 to 65535"),
        (["serve", "--port", "65536"], "'65536', expected a port from 0 to 65535"),
        (["serve", "--port=-1"], "'-1', expected a port from 0 to 65535"),
        (["serve", "--bind", "/x"], "'/x', expected unix:PATH as in unix:/run/shop.sock"),
        (["serve", "--keyfile", "x"], "--keyfile needs --certfile"),
        (["serve", "--log-level", "loud"], "invalid choice: 'loud'"),
        (["serve", "a:b", "c"], "unrecognized arguments: c"),
        (["serve", "--workers", "0"], "'0', expected a number from 1 to 256"),
        (["serve", "--workers", "x"], "'x', expected a number from 1 to 256"),
        (
            ["serve", "--workers", "2", "--reload"],
            "--reload is for one process; leave --workers out",
        ),
        (["serve", "--reload-dir", "."], "--reload-dir needs --reload"),
        (["serve", "--reload", "--reload-dir", "no"], "'no' is no folder"),
        (["init"], "the following arguments are required: DIR"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_without_a_command_they_are_listed(capsys):
    code = main([])

    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert all(f"    {command.name} " in printed.err for command in COMMANDS)


@pytest.mark.parametrize("command", ["", *(one.name for one in COMMANDS)])
def test_help_names_what_can_be_asked(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")

    with pytest.raises(SystemExit) as caught:
        main([command, "--help"] if command else ["--help"])

    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert command in printed
    assert "inherited" not in printed  # that is between processes
    assert max(map(len, printed.splitlines())) <= 100


def test_help_lists_the_commands_and_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])

    printed = capsys.readouterr().out
    assert all(f"    {one.name} " in printed and one.help in printed for one in COMMANDS)
    assert "exit codes:" in printed


def test_the_versions_are_printed_on_one_line(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert re.fullmatch(
        r"tina4-wsgi 0\.1\.0 \((compiled|pure Python) engine, gevent [\d.]+, Python 3\.\d+\.\d+\S*\)\n",
        capsys.readouterr().out,
    )


def test_a_compiled_engine_is_told_from_one_in_python(monkeypatch):
    def found(name):
        return ModuleSpec(name, None, origin=f"/site/{name}{EXTENSION_SUFFIXES[0]}")

    before = engine_kind()
    monkeypatch.setattr("importlib.util.find_spec", found)

    assert before in ("compiled", "pure Python")
    assert engine_kind() == "compiled"

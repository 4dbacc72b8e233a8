"""Files in the repository speak of the product, not of the machine that someone wrote them on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Home folders and folders of one machine. `~`, `/run`, `/srv`, `/etc` and the home of a user called
# "app" are where documentation and tests may point.
MACHINE_PATH = re.compile(
    r"(?<![\w.~-])/(?:home/(?!app\b)|(?:root|Users|work|tmp|workspace|builds)/)[\w.-]+"
)

ADDRESS = re.compile(r"\b(?:https?|wss?)://(?P<host>\[[^\]]*\]|[\w.-]+)")

# Addresses that a reader, a test or an example may be sent to: this machine, names reserved for
# documentation (RFC 2606, RFC 5737), names without a dot, names that XML needs, and the
# specifications.
HARMLESS_HOST = re.compile(
    r"""
    [\w-]+ | \[.*\] | 127\.\d+\.\d+\.\d+ | 0\.0\.0\.0
    | 192\.0\.2\.\d+ | 198\.51\.100\.\d+ | 203\.0\.113\.\d+
    | .*ex(?:a|ä)?mple.*                         # near misses of a reserved name are tested too
    | (?:[\w-]+\.)*(?:test|invalid|localhost)
    | www\.w3\.org | www\.rfc-editor\.org | datatracker\.ietf\.org | developer\.mozilla\.org
    """,
    re.VERBOSE | re.IGNORECASE,
)

# What .gitignore leaves out, for a tree that git does not know, as an unpacked sdist.
IGNORED = {".git", ".venv", ".cache", "build", "dist", "__pycache__", ".hypothesis", ".ruff_cache"}


def tracked_files() -> list[Path]:
    """What git would commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [
            path for path in ROOT.rglob("*") if not IGNORED & set(path.relative_to(ROOT).parts)
        ]
    return [path for path in paths if path.is_file()]


def matches(pattern: re.Pattern[str]) -> list[tuple[str, re.Match[str]]]:
    """Each match in a text file, with "path:line"."""
    found = []
    for path in tracked_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:  # a picture
            continue
        for number, line in enumerate(lines, 1):
            place = f"{path.relative_to(ROOT)}:{number}"
            found += [(place, match) for match in pattern.finditer(line)]
    return found


def test_the_files_are_found():
    assert Path(__file__) in tracked_files()


def test_no_file_names_a_folder_of_one_machine():
    named = [f"{place} {match[0]}" for place, match in matches(MACHINE_PATH)]

    assert named == []


def test_addresses_point_to_this_machine_or_to_nobody():
    found = matches(ADDRESS)
    foreign = [
        f"{place} {match[0]}"
        for place, match in found
        if not HARMLESS_HOST.fullmatch(match["host"])
    ]

    assert foreign == []


@pytest.mark.parametrize(
    "text", ["/" + "home/someone", "see /" + "tmp/notes", '"/' + 'work/main"', "/" + "root/.cache"]
)
def test_a_folder_of_one_machine_is_recognised(text):
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "/run/app.sock",
        "~/work/x",
        "src/home/page",
        "/home/",
        "a/tmp/b",
        "/room/general",
        "/home/app/site",
    ],
)
def test_an_ordinary_path_is_none(text):
    assert not MACHINE_PATH.search(text)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "chat.example", "a.example.org", "evil.test"]
)
def test_a_reserved_host_is_harmless(host):
    assert HARMLESS_HOST.fullmatch(host)


@pytest.mark.parametrize(
    "host", ["packages.acme.io", "10.0.0.1", "test.acme.io", "localhost.acme.io"]
)
def test_a_real_host_is_not(host):
    assert not HARMLESS_HOST.fullmatch(host)


def test_nothing_is_kept_that_running_an_example_writes():
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )

    assert listed.stdout == ""  # an unpacked sdist, which git doesn't know, keeps nothing either

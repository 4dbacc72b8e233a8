"""Results say how the interpreter was built, and those of a slow build are not published."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import interpreter
from benchmarks.__main__ import main
from benchmarks.peers import ROOT

CONFIGURE = "'--prefix=/opt/python' '--enable-shared'"
FLAGS = "-DNDEBUG -g -fwrapv -O3 -Wall -DPy_BUILD_CORE"
ENGINE = {"compiled": 15, "further_packages": []}


def build(
    options: str = CONFIGURE,
    flags: str = FLAGS,
    schemes: tuple[str, ...] = ("posix_prefix",),
    **variables: object,
) -> interpreter.Facts:
    """Give the facts about an interpreter with these variables."""
    known = {"CONFIG_ARGS": options, "PY_CORE_CFLAGS": flags, "CFLAGS": "-O1"}
    known |= {"Py_DEBUG": 0, "Py_GIL_DISABLED": None, **variables}
    answer = {"implementation": "CPython", "version": "3.13.1", "compiler": "GCC 12.2.0 "}
    return interpreter.read_build({**answer, "schemes": schemes, "variables": known})


def objection(facts: interpreter.Facts | None, engine: object = ENGINE) -> str:
    return interpreter.objection({"interpreter": facts, "engine": engine})


BEST = f"{CONFIGURE} '--enable-optimizations' '--with-lto'"


def test_an_optimised_build_is_described_and_published():
    facts = build(BEST)

    assert interpreter.describe(facts) == "CPython 3.13.1 of GCC 12.2.0, -O3, PGO, LTO"
    assert objection(facts) == ""


def test_debians_build_is_known_by_its_schemes():
    facts = build(flags="-DNDEBUG -g -O2 -Wall", schemes=("deb_system", "posix_prefix"))

    assert interpreter.describe(facts) == "CPython 3.13.1 of GCC 12.2.0, -O2, PGO, LTO"
    assert objection(facts) == ""


def test_flags_of_a_profile_are_as_good_as_the_option():
    facts = build(flags=f"{FLAGS} -fprofile-use -fprofile-correction -flto")

    assert (facts["has_pgo"], facts["has_lto"]) == (True, True)


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        (build(), "was built without --enable-optimizations"),
        (build(BEST, "-g -O3 -O0"), "was compiled with -O0, expected -O2 or -O3"),
        (build(BEST, "-g -Og"), "was compiled with -Og, expected -O2 or -O3"),
        (build(BEST, "-g -Wall"), "was compiled with no -O at all, expected -O2 or -O3"),
        (build(BEST, "", CFLAGS="-g -O"), "was compiled with -O, expected -O2 or -O3"),
        (build(BEST, Py_DEBUG=1), "is a debug build"),
    ],
)
def test_a_slow_build_is_not_published_and_the_way_to_a_better_one_is_named(facts, fault):
    said = objection(facts)

    assert said.startswith(f"CPython 3.13.1 {fault}, so all servers in Python look slower")
    assert "pyenv install 3.13.1. Then: make bench PYTHON=" in said


def test_results_of_python_alone_or_with_further_packages_or_of_an_unknown_build_are_not_published():
    assert "the engine is not compiled" in objection(build(BEST), ENGINE | {"compiled": 0})
    assert "our app has loaded orjson, which" in objection(
        build(BEST), ENGINE | {"further_packages": ["orjson"]}
    )
    assert "don't name the interpreter" in interpreter.objection({})


def test_facts_about_this_interpreter_hold_no_path():
    facts = interpreter.examine(Path(sys.executable))

    assert facts["version"] == ".".join(map(str, sys.version_info[:3]))
    assert "/" not in json.dumps(facts)
    assert re.match(
        r"\w+ [\d.]+\S* of .*, (-O\w*|no -O), (no )?PGO, (no )?LTO", interpreter.describe(facts)
    )


def test_our_app_loads_nothing_beyond_its_plain_installation():
    facts = interpreter.examine_engine(Path(sys.executable), is_installed=False)

    assert facts["further_packages"] == []
    assert interpreter.describe_engine(facts).endswith("no further package")


def test_the_page_stays_as_it_is_where_publishing_is_refused(tmp_path, monkeypatch, capsys):
    page, results = tmp_path / "performance.md", tmp_path / "results.json"
    page.write_text("as it was")
    monkeypatch.setattr("benchmarks.publishing.PAGE", page)
    monkeypatch.setattr("benchmarks.publishing.CHART", tmp_path / "chart.svg")
    box = {"processor": "abacus", "cores": 1, "memory_gib": 1, "system": "none", "kernel": "0"}
    about = {"date": "2000-01-01", "commit": "0", "machine": box, "versions": {}}
    about |= {"rounds": 1, "seconds": 1, "interpreter": build(), "engine": ENGINE}
    results.write_text(json.dumps({"about": about, "samples": []}))

    assert main(["--report", str(results), "--publish"]) == 1

    said = capsys.readouterr()
    assert "CPython 3.13.1 of GCC 12.2.0, -O3, no PGO, no LTO." in said.out
    assert "not published: CPython 3.13.1 was built without --enable-optimizations" in said.err
    assert page.read_text() == "as it was"


@pytest.mark.deadline(60)
def test_a_run_that_could_not_be_published_is_not_begun():
    command = [sys.executable, "-m", "benchmarks", "--no-install", "--publish", "--only", "echo1"]

    done = subprocess.run(
        [*command, "--peers", "tina4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    # This checkout runs in Python alone, so that even the best interpreter is refused.
    assert done.returncode == 1
    assert done.stderr.startswith("not to be published, so not measured: ")
    assert "round 1" not in done.stderr

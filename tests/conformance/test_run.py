"""`conformance/run.py` with a stand-in for wstest: the real one is for `make conformance`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Opens the page of the server that it shall test, and reports the verdict that the test has chosen.
STAND_IN = """\
#!{python}
import json, pathlib, sys, urllib.request
if sys.argv[1] == "--version":
    sys.exit()
spec = json.loads(pathlib.Path(sys.argv[-1]).read_text())
(server,) = spec["servers"]
try:
    urllib.request.urlopen(server["url"].replace("ws:", "http:"), timeout=10)
except urllib.error.HTTPError:
    pass  # it is there, and no page
folder = pathlib.Path(spec["outdir"])
folder.mkdir()
rows = {{}}
for number, case in enumerate(spec["cases"]):
    name = case.replace("*", "1")
    verdict = {{"behavior": "{verdict}", "behaviorClose": "{close}", "remoteCloseCode": 1000}}
    report = {{**verdict, "description": "Sends <br>bytes.", "expectation": "An echo.", "result": "None came."}}
    (folder / f"{{number}}.json").write_text(json.dumps(report))
    rows[name] = {{**verdict, "reportfile": f"{{number}}.json"}}
(folder / "index.json").write_text(json.dumps({{server["agent"]: rows}}))
sys.exit({status})
"""


def stand_in(folder: Path, verdict: str = "OK", close: str = "OK", status: int = 0) -> Path:
    path = folder / "wstest"
    path.write_text(
        STAND_IN.format(python=sys.executable, verdict=verdict, close=close, status=status)
    )
    path.chmod(0o755)
    return path


def run(wstest: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(ROOT / "conformance" / "run.py")]
    return subprocess.run(
        [*command, "--reports", str(wstest.parent / "reports"), *arguments],
        env={**os.environ, "WSTEST": str(wstest), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def wstest(tmp_path: Path) -> Path:
    return stand_in(tmp_path)


@pytest.mark.parametrize("server", ["own", "gunicorn"])
def test_a_run_without_a_fault_ends_with_0_and_prints_a_table(wstest, server):
    done = run(wstest, "--server", server, "--cases", "1.*", "7.1.1")

    assert done.returncode == 0, done.stderr
    assert "| 1 framing | 1 | 1 OK |" in done.stdout
    assert "| 7 close handling | 1 | 1 OK |" in done.stdout
    assert "| all | 2 | 2 OK |" in done.stdout


def test_informational_is_as_good_as_ok(tmp_path):
    done = run(
        stand_in(tmp_path, "INFORMATIONAL", "INFORMATIONAL"), "--server", "own", "--cases", "7.1.6"
    )

    assert done.returncode == 0, done.stderr
    assert "1 INFORMATIONAL" in done.stdout


@pytest.mark.parametrize(
    ("verdict", "close"),
    [("FAILED", "OK"), ("NON-STRICT", "OK"), ("UNIMPLEMENTED", "OK"), ("OK", "UNCLEAN")],
)
def test_any_other_verdict_ends_with_1_and_is_described(tmp_path, verdict, close):
    done = run(stand_in(tmp_path, verdict, close), "--server", "own", "--cases", "1.1.1")

    assert done.returncode == 1, done.stderr
    assert f"1.1.1 under tina4-wsgi serve: {verdict}, at the end {close}" in done.stdout
    assert "what it does: Sends bytes." in done.stdout
    assert "what it wants: An echo." in done.stdout
    assert "what it saw: None came." in done.stdout


def test_groups_with_settings_of_their_own_run_one_after_the_other(wstest, tmp_path):
    done = run(wstest, "--server", "own", "--cases", "all")

    assert done.returncode == 0, done.stderr
    spec = tmp_path / "reports" / "own"
    assert json.loads((spec / "core" / "spec.json").read_text())["cases"][-1] == "10.*"
    assert json.loads((spec / "limits" / "spec.json").read_text())["cases"] == ["9.*"]
    assert json.loads((spec / "deflate" / "spec.json").read_text())["cases"] == ["12.*", "13.*"]


def test_a_wstest_that_fails_ends_with_3(tmp_path):
    done = run(stand_in(tmp_path, status=5), "--server", "own", "--cases", "1.1.1")

    assert done.returncode == 3
    assert "wstest ended with exit code 5" in done.stderr


def test_a_wstest_that_cannot_be_run_ends_with_3(tmp_path):
    done = run(tmp_path / "nowhere")

    assert done.returncode == 3
    assert done.stderr == f"WSTEST={tmp_path / 'nowhere'} can't be run\n"


def test_an_unknown_case_is_a_wrong_argument(wstest):
    done = run(wstest, "--cases", "8.1.1")

    assert done.returncode == 2
    assert "no case '8.1.1'" in done.stderr

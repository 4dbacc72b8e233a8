"""The browser client under node: its behaviour with a clock of the test's own, and its types."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
STATIC = HERE.parents[1] / "tina4_wsgi" / "browser"
RUN_S = 60

# What the two files offer, seen at run time.
OFFERED = """
globalThis.location = new URL("http://localhost/");
globalThis.crypto ??= (await import("node:crypto")).webcrypto; // node 18
const { connect } = await import(process.argv[1]);
const connection = connect("/ws/x");
const own = [...Object.keys(connection), ...Object.getOwnPropertyNames(Object.getPrototypeOf(connection))];
connection.close();
console.log(JSON.stringify(own.filter((name) => name !== "constructor").sort()));
"""

pytestmark = pytest.mark.deadline(90)


@pytest.mark.parametrize("suite", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_node_finds_that_the_client_keeps_its_word(suite: Path) -> None:
    run("node", "--test", "--test-reporter=spec", str(suite))


def test_the_types_let_through_what_works_and_nothing_else(tmp_path: Path) -> None:
    shutil.copy(STATIC / "tina4-ws.d.ts", tmp_path)
    shutil.copy(HERE / "types.ts", tmp_path)
    (tmp_path / "tsconfig.json").write_text(
        json.dumps(
            {
                "compilerOptions": {
                    "strict": True,
                    "noEmit": True,
                    "target": "ES2022",
                    "lib": ["ES2022", "DOM"],
                    "module": "ES2022",
                    "moduleResolution": "node",
                    "types": [],
                    "baseUrl": ".",
                    # As docs/client.md tells.
                    "paths": {"/__tina4/tina4-ws.mjs": ["./tina4-ws.d.ts"]},
                },
            }
        )
    )

    run("tsc", "--project", str(tmp_path))


def test_the_types_name_what_a_connection_has() -> None:
    declared = (
        (STATIC / "tina4-ws.d.ts")
        .read_text()
        .partition("interface Connection {")[2]
        .partition("\n}")[0]
    )

    named = sorted(re.findall(r"^  (?:readonly )?(\w+)[:(]", declared, re.MULTILINE))
    offered = json.loads(
        run("node", "--input-type=module", "-e", OFFERED, str(STATIC / "tina4-ws.mjs"))
    )

    assert named == offered


def test_the_types_name_the_options_that_the_client_reads() -> None:
    declared = (
        (STATIC / "tina4-ws.d.ts")
        .read_text()
        .partition("interface Options {")[2]
        .partition("\n}")[0]
    )
    source = (STATIC / "tina4-ws.js").read_text()

    named = set(re.findall(r"^  (\w+)\?:", declared, re.MULTILINE))
    read = set(re.findall(r"options\.(\w+)", source))
    for names in re.findall(r"const \{ ([\w, ]+) \} = this\.#options", source):
        read |= set(names.split(", "))

    assert named == read


def run(*command: str) -> str:
    """Run a command, which must exit with 0, and give what it printed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout

"""Verdicts of the suite as text: a table of groups and servers, and a paragraph on each case that
fell short.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

GROUPS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "close handling",
    "9": "limits and speed",
    "10": "auto-fragmentation",
    "12": "compression",
    "13": "compression, parameters",
}
FINE = ("OK", "INFORMATIONAL")  # the latter: cases that allow anything, 7.1.6, 7.13.1 and 7.13.2
ORDER = (
    *FINE,
    "NON-STRICT",
    "UNIMPLEMENTED",
    "UNCLEAN",
    "WRONG CODE",
    "FAILED BY CLIENT",
    "FAILED",
)

Reports = Mapping[str, Mapping[str, dict]]
"""Server → case → the suite's report of it."""


def is_fine(report: Mapping[str, str]) -> bool:
    """Say whether both verdicts, on the messages and on the end of the connection, are as good as
    can be.
    """
    return report["behavior"] in FINE and report["behaviorClose"] in FINE


def table(reports: Reports) -> str:
    """Lay out the verdicts in Markdown: a row a group, a column a server."""
    cases = sorted({case for one in reports.values() for case in one}, key=case_key)
    groups = list(dict.fromkeys(case.split(".")[0] for case in cases))
    lines = [_row("group", "cases", *reports), _row(*["---"] * (2 + len(reports)))]
    for group in groups:
        inside = [case for case in cases if case.split(".")[0] == group]
        lines.append(
            _row(f"{group} {GROUPS.get(group, '')}", len(inside), *_cells(reports, inside))
        )
    lines.append(_row("all", len(cases), *_cells(reports, cases)))
    return "\n".join(lines)


def _cells(reports: Reports, cases: list[str]) -> Iterator[str]:
    for one in reports.values():
        verdicts = Counter(one[case]["behavior"] for case in cases if case in one)
        ends = Counter(one[case]["behaviorClose"] for case in cases if case in one)
        bad_ends = Counter({name: count for name, count in ends.items() if name not in FINE})
        yield _counts(verdicts) + (f"; at the end {_counts(bad_ends)}" if bad_ends else "")


def _counts(verdicts: Counter[str]) -> str:
    known = sorted(verdicts, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    return ", ".join(f"{verdicts[name]} {name}" for name in known) or "none"


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def shortfalls(reports: Reports) -> Iterator[str]:
    """Describe each case that is not fine, in the suite's own words."""
    for server, one in reports.items():
        for case in sorted(one, key=case_key):
            report = one[case]
            if not is_fine(report):
                yield "\n".join(
                    [
                        f"{case} under {server}: {report['behavior']}, at the end "
                        f"{report['behaviorClose']}",
                        f"  what it does: {_plain(report.get('description'))}",
                        f"  what it wants: {_plain(report.get('expectation'))}",
                        f"  what it saw: {_plain(report.get('result'))} "
                        f"{_plain(report.get('resultClose'))}",
                        f"  close code {report.get('remoteCloseCode')}, reason "
                        f"{report.get('remoteCloseReason')!r}",
                    ]
                )


def _plain(text: str | None) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text or "")).strip()


def case_key(case: str) -> list[int]:
    """Give what sorts "10.1.1" behind "9.8.6"."""
    return [int(number) for number in case.split(".")]

"""Numbers as people read them."""

from __future__ import annotations

from .scenarios import Scenario

KIB = 1_024


def count(value: float) -> str:
    """1234 is "1.23 k"."""
    for factor, unit in ((1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{_three_digits(value / factor)}{unit}"
    return _three_digits(value)


def _three_digits(value: float) -> str:
    """Round to three digits, and never into an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def latency(microseconds: float) -> str:
    """1234 is "1.23 ms"."""
    if microseconds >= 1e6:
        return f"{_three_digits(microseconds / 1e6)} s"
    return (
        f"{_three_digits(microseconds / 1e3)} ms"
        if microseconds >= 1e3
        else f"{microseconds:.0f} µs"
    )


def size(value: float) -> str:
    """1234 is "1.21 KiB"."""
    sign, amount = ("−", -value) if value < 0 else ("", value)
    for factor, unit in ((KIB**2, "MiB"), (KIB, "KiB")):
        if amount >= factor:
            return f"{sign}{_three_digits(amount / factor)} {unit}"
    return f"{sign}{amount:.0f} B"


def growth(value: float) -> str:
    """Write a size with its sign, as "+43.6 KiB"."""
    return size(value) if value < 0 else f"+{size(value)}"


def seconds(value: float) -> str:
    """Write processor time: 0.625 is "0.62 s"."""
    return f"{value:.2f} s"


def ratio(value: float) -> str:
    """0.789 is "0.79", 0.00345 is "0.0035"."""
    return f"{value:.2g}" if 0 < value < 0.1 else _three_digits(value)


def figure_of(scenario: Scenario, value: float) -> str:
    """Write what a scenario compares, in its own unit."""
    match scenario.figure:
        case "bytes_per_connection":
            return size(value)
        case "cpu_s":
            return seconds(value)
        case "p99_us" | "cpu_us":
            return latency(value)
        case _:
            return count(value)

"""A measured figure, what it is to be compared with, and how both are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for a figure, or for its ratio to the reference if `of_ratio`."""

    bound: float
    at_least: bool = False
    of_ratio: bool = False

    def met(self, figure: Figure) -> bool:
        """Tell whether the figure keeps the bound."""
        value = figure.ratio if self.of_ratio else figure.value
        return value >= self.bound if self.at_least else value <= self.bound

    def show(self, unit: str) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{'×' if self.of_ratio else ' ' + unit}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: a value, and beside it the reference of the same run in the same unit.

    Without a target it is there to compare others with.
    """

    measurement: str
    name: str
    value: float
    unit: str
    reference_name: str
    reference: float
    target: Target | None

    @property
    def ratio(self) -> float:
        """The value as a multiple of the reference."""
        return self.value / self.reference if self.reference else float("inf")

    @property
    def has_ratio(self) -> bool:
        """Whether the reference is anything to compare with."""
        return self.reference > 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "measurement": self.measurement,
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "reference_name": self.reference_name,
            "reference": self.reference,
            "ratio": self.ratio if self.has_ratio else None,
            "target": None if self.target is None else self.target.show(self.unit),
            "met": None if self.target is None else self.target.met(self),
        }


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table, in columns that line up."""
    head = ("", "measured", "reference", "ratio", "target", "")
    rows = [head, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, ...]:
    target = figure.target
    return (
        figure.name,
        f"{_number(figure.value)} {figure.unit}",
        f"{_number(figure.reference)} ({figure.reference_name})",
        f"{_number(figure.ratio)}×" if figure.has_ratio else "",
        "" if target is None else target.show(figure.unit),
        "" if target is None else "met" if target.met(figure) else "NOT MET",
    )


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"

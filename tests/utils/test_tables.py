"""Tables in a terminal: nothing that has to be read or typed is cut, at any width."""

import io
import itertools
import re

import pytest
from rich.console import Console

from rl_drug_dosage.commands._benchmark_tables import show_benchmark
from rl_drug_dosage.utils.tables import Column, blocks, show_table

WIDTHS = (60, 80, 120, 200)


def printed(width: int, *args: object, **options: object) -> str:
    text = io.StringIO()
    show_table(*args, **options, console=Console(file=text, width=width))  # type: ignore[arg-type]
    return text.getvalue()


def numbers(count: int) -> tuple[list[Column], list[list[str]]]:
    columns = [Column("policy", "name", key=True), *(Column(f"number {chr(65 + i)}{i}") for i in range(count))]
    names = ["mipd", "vancomycin-nomogram-2020+shield"]
    return columns, [[name, *(f"{100 * k + i}.25 to {i}.75" for i in range(count))] for k, name in enumerate(names, 1)]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_cell_and_heading_is_there_whole(width: int) -> None:
    """In one table or in several, and no line is longer than the terminal."""
    columns, rows = numbers(12)
    text = printed(width, columns, rows)
    words = {word for column in columns for word in column.heading.split()} | set(itertools.chain(*rows))
    assert [word for word in words if word not in text] == []
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_a_wide_terminal_has_one_table_and_a_narrow_one_repeats_the_key() -> None:
    """The key stands in every block, every other column in exactly one."""
    columns, rows = numbers(12)
    assert blocks(columns, rows, 400) == [list(range(13))]
    found = blocks(columns, rows, 80)
    assert found is not None
    assert len(found) > 1
    assert all(block[0] == 0 for block in found)
    assert sorted(i for block in found for i in block[1:]) == list(range(1, 13))


@pytest.mark.parametrize("width", [20, *WIDTHS])
def test_names_in_sentences_are_never_torn(width: int) -> None:
    """Models of a scenario wrap between two, not within one, even where the terminal is narrower than a name."""
    models = [f"vancomycin-author{i}-2018-continuous" for i in range(4)]
    columns = [Column("scenario", "name", key=True), Column("task", "words"), Column("models", "names")]
    text = printed(width, columns, [["vancomycin-continuous-infusion", "a long sentence " * 6, ", ".join(models)]])
    assert all(model in text for model in (*models, "vancomycin-continuous-infusion"))
    assert text.count("sentence") == 6


def test_markup_in_a_cell_stays_text() -> None:
    """A policy may be called anything."""
    text = printed(80, [Column("policy", "name", key=True), Column("n")], [["[red]a[/red]", "1"]])
    assert "[red]a[/red]" in text


def test_groups_print_their_name_once() -> None:
    """A patient's parameters stand under one name, in a table and in lines."""
    columns = [Column("patient", "name", key=True), Column("parameter", "name", key=True), Column("MAP")]
    rows = [["P1", "cl", "5.1"], ["P1", "v1", "40.2"], ["P2", "cl", "4.4"]]
    for width in (80, 14):
        text = printed(width, columns, rows, groups=True)
        assert len(re.findall(r"\bP1\b", text)) == 1
        assert len(re.findall(r"\bP2\b", text)) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_a_benchmark_names_policies_and_models_whole(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ranking and the mismatch, piped, at the width that ``COLUMNS`` says."""
    monkeypatch.setenv("COLUMNS", str(width))
    policies = ["mipd-average", "vancomycin-nomogram+shield", "runs/vancomycin-with-memory/agent.pt"]
    models = [f"vancomycin-author{i}-long-name" for i in range(3)]
    share = {"mean": 81.5, "low": 80.25, "high": 82.75}
    harms = ["AUC24 > 600", "trough > 20 mg/L"]
    columns = ("change_last_third_pct", "dose_changes", "zigzags", "holds")
    record = {
        "scenario": {"title": "made", "goal": "made", "harms": [{"name": h} for h in harms]},
        "settings": {"patients": 10, "seed": 1, "reference": policies[0]},
        "policies": [
            {
                "rank": i + 1, "policy": p, "attainment_pct": share, "worst_5_pct": 1.0, "under_pct": 1.0,
                "over_pct": 1.0, "dose_changes": 1.0, "dropouts": 0, "harms": {h: {"patients_pct": 7.5} for h in harms},
                "burden": {c: {"median": 1.0, "mean": 1.5} for c in columns},
            }
            for i, p in enumerate(policies)
        ],
        "paired": [],
        "mismatch": {
            "cells": [
                {"simulator": s, "controller": c, "policy": p, "attainment_pct": share}
                for p in policies for s in models for c in models
            ]
        },
    }  # fmt: skip
    show_benchmark(record)
    text = capsys.readouterr().out
    assert all(text.count(name) >= 2 for name in policies)
    assert all(f": {model}\n" in text for model in models)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= max(width, len(policies[2]) + 30)

"""Random command lines: each command's own options with values that fit, nearly fit, or should never be accepted."""

# ruff: noqa: E501 - tables of values
import contextlib
import io
import random
import re
import signal
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main

from rl_drug_dosage import cli

NEVER = frozenset({"--track", "--thorough", "--device", "--install-completion", "--show-completion"})
"""Left out: they ask a service, take minutes, or choose the accelerator of the whole process."""

BASES: dict[str, tuple[str, ...]] = {
    "info": (),
    "cache": ("info",),
    "simulate": ("--drug", "vancomycin-thomson2009", "--patients", "2", "--horizon-h", "24", "--output-dir", "out"),
    "estimate": ("--drug", "vancomycin-thomson2009", "--data", "data.csv", "--output-dir", "out"),
    "dose": ("--drug", "vancomycin-thomson2009", "--data", "data.csv", "--output-dir", "out"),
    "recommend": ("patient.toml", "--save", "out/patient.html"),
    "validate-model": ("--drug", "vancomycin-thomson2009", "--data", "data.csv", "--output-dir", "out"),
    "evaluate": ("--model-path", "agent.pt", "--output-dir", "out"),
    "train": ("--total-timesteps", "16", "--num-steps", "8", "--num-minibatches", "2", "--eval-freq", "0"),
    "sweep": (
        "--param",
        "gamma=0.9..0.99",
        "--trials",
        "1",
        "--total-timesteps",
        "16",
        "--num-steps",
        "8",
        "--num-minibatches",
        "2",
    ),
    "compare": ("folder", "out", "--output-dir", "out"),
    "benchmark": ("--scenario", "vancomycin", "--patients", "2", "--output-dir", "out"),
    "merge": ("out",),
    "explain": ("--model-path", "agent.pt", "--output-dir", "out"),
    "export": ("--model-path", "agent.pt", "--output", "a.onnx"),
    "import": ("model.R",),
    "clinic": ("--no-browser",),
    "check": ("nothing-of-that-name",),
    "new": ("drug", "mine"),
}
HEAVY = frozenset({"train", "sweep", "benchmark", "check", "explain", "evaluate", "dose", "validate-model"})
"""They compile for seconds: their lines always hold something that has to be refused, but for a few."""

REFUSED = (
    "nan",
    "inf",
    "-inf",
    "1e999",
    "-1",
    "x",
    "",
    " ",
    "0x10",
    "1_0.",
    "²",
    "9" * 400,
    "\x1b[2J",
    "\x00",
    "--",
    "-h1",
    "true",
)
TEXTS = (
    "", "x", "vancomycin", "vancomycin-goti2018", "warfarin", "DrugDose-v0", "Pendulum-v1", "nothing", "agent.pt", "data.csv", "out",
    "bait.py", "./bait.py", "bait:X", "os:system", "broken.toml", "broken.pt", "broken.csv", "model.R", "broken.mod", "folder", "missing/deep/er",
    "a" * 300, "a" * 5000, "\x1b[31mred", "\u202e", "\x00", "$HOME", "`id`", "'; drop", "{}", '{"k": 1e999}', "[1", "-", "--help",
    "csv", "parquet", "cpu", "1", "1.5", "0", "mipd", "label,mipd", "mipd,", "*", "Ω", "\ud800", "=1+1", "%s", "[bold]", "nocb",
)  # fmt: skip
NUMBERS = (
    "0",
    "1",
    "2",
    "3",
    "-1",
    "1e9",
    "1e30",
    "10" * 20,
    "0.5",
    "1e-300",
    "4294967296",
    "nan",
    "inf",
    "x",
    "",
    "1,5",
)


@dataclass(frozen=True)
class Answer:
    """How a command line ended."""

    code: object
    out: str
    err: str
    error: BaseException | None


def options() -> dict[str, list[tuple[str, bool]]]:
    """Of every command: its options, and whether each takes a value."""
    group: Any = typer.main.get_command(cli.app)
    found = {}
    for name, command in group.commands.items():
        flags = {o for p in command.params for o in (*p.opts, *p.secondary_opts) if getattr(p, "is_flag", False)}
        every = [o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("--")]
        found[name] = [(o, o not in flags) for o in every if o not in NEVER]
    return found


def line(rng: random.Random, known: dict[str, list[tuple[str, bool]]]) -> list[str]:
    """A command line."""
    name = rng.choice([*known, "train", "benchmark", "simulate", "estimate", "trian", "", "--version", "\x1b[2J"])
    if name not in known:
        return [name, *rng.sample(TEXTS, rng.randrange(3))]
    if rng.random() < 0.04:
        return [name, "--help"]
    words = list(BASES[name])
    for _ in range(rng.choice([0, 1, 1, 2, 3]) if known[name] else 0):
        option, valued = rng.choice(known[name])
        if rng.random() < 0.1:
            option = rng.choice(
                [option[:-1], option + "x", option.upper(), "-" + option[2:], option + "=", "--" + option]
            )
        words += [option, rng.choice([*TEXTS, *NUMBERS])] if valued or rng.random() < 0.1 else [option]
    if words and rng.random() < 0.3:
        words[rng.randrange(len(words))] = rng.choice([*TEXTS, *NUMBERS])
    if rng.random() < 0.1 and words:
        del words[rng.randrange(len(words))]
    if name in HEAVY and rng.random() < 0.98:
        words += rng.choice(
            [["--no-such-option"], ["--seed", rng.choice(REFUSED)], ["--num-episodes", "0"], [rng.choice(TEXTS)] * 2]
        )
    if name == "clinic":
        # The last port counts, and none of these is one: no line may start a server that stays.
        words += ["--port", rng.choice([word for word in REFUSED if word != "--"])]
    return [name, *words]


def run(words: list[str]) -> Answer:
    """`cli.main` of a command line, in this process."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    sys.argv = ["rl-drug-dosage", *words]
    code: object = "returned"
    fault: BaseException | None = None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cli.main()
    except SystemExit as stop:
        code = stop.code
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        fault = error
    finally:
        sys.argv = before
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Answer(code, out.getvalue(), err.getvalue(), fault)


_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def fault_of(answer: Answer, before: dict[str, int], after: dict[str, int]) -> str:  # noqa: PLR0911 - one answer a fault
    """What is wrong with an answer; empty where nothing is."""
    if answer.error is not None:
        return f"{type(answer.error).__name__}: {answer.error}"[:300]
    if answer.code not in {0, 1, 2}:
        return f"exit code {answer.code!r}"
    if "Traceback" in answer.err or "Traceback" in answer.out:
        return f"a traceback: {answer.err[-300:]}"
    if _UNSEEN.search(answer.err) or _UNSEEN.search(answer.out.replace("\x1b[0m", "").replace("\x1b[1m", "")):
        return f"control characters: {answer.err[-200:]!r} {answer.out[-200:]!r}"
    if answer.code == 0:
        return ""
    if answer.code == 2 and (answer.err.count("\n") != 1 or not answer.err.startswith("rl-drug-dosage: error: ")):
        return f"not one line: {answer.err[:300]!r}"
    if len(answer.err) > 2200:
        return f"{len(answer.err)} characters"
    if answer.code == 2 and before != after:
        return f"left behind: {sorted(set(after.items()) ^ set(before.items()))[:4]}"
    return ""


def listing(folder: Path) -> dict[str, int]:
    """Every file below a folder, with its size; folders are -1."""
    return {str(p.relative_to(folder)): p.stat().st_size if p.is_file() else -1 for p in folder.rglob("*")}

"""Write the tables of docs/scenario-files.md from the dataclasses that a scenario file is read into (`make docs`)."""

import inspect
import re
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin

from rl_drug_dosage.clinic.events import Adherence, Clock, Disturbance, Drift, Dropout, Intake
from rl_drug_dosage.clinic.label_rules import LabelRule
from rl_drug_dosage.clinic.scenario import Goal, Harm, Scenario, ShieldLimits, TrainingSettings
from rl_drug_dosage.clinic.scenario_file import DISTRIBUTIONS, ROWS
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.pkpd import Covariate, Eta, Param, Residual, Target

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scenario-files.md"
BEGIN, END = "<!-- written by scripts/scenario_format.py -->", "<!-- to here -->"

TABLES: Mapping[str, type] = {
    "Top level": Scenario,
    "`[cohort.NAME]`": Covariate,
    "`[schedule]`": Schedule,
    "`[dosage]`": Dosage,
    "`[monitoring]`": Monitoring,
    "`[goal]`": Goal,
    "`[[goal.targets]]`": Target,
    "`[[goal.harms]]`": Harm,
    "`[label]`": LabelRule,
    "`[shield]`": ShieldLimits,
    "`[training]`": TrainingSettings,
    "`[adherence]`": Adherence,
    "`[dropout]`": Dropout,
    "`[disturbance]`": Disturbance,
    "`[intake]`": Intake,
    "`[[drifts]]`": Drift,
    "`[[clocks]]`": Clock,
    "`[[etas]]`, `[[daily_etas]]`": Eta,
    "`[monitoring.error]`": Residual,
    "A published number": Param,
}
_DRUG = "a built-in drug model, or a file beside this one (`.py`, or a [model file](model-readers.md))"
OTHERWISE: Mapping[type, Mapping[str, tuple[str, str, str]]] = {
    Scenario: {
        "drug": ("text", "", f"{_DRUG}; or `drugs`, a list of them"),
        "test_only": (
            "list of texts",
            "none",
            "drug models, names or files, that only simulate test patients: training, beliefs, controllers refuse them",
        ),
        "cohort": ("table", "the drug's", "a table for every covariate that differs, and `csv`: patients to resample"),
        "reward": ("text", '"goal"', "a reward by name (below), or `file.py:function`"),
        "label": ("text or table", '"usual"', "the usual dose, `file.py:function`, or a rule (`[label]`)"),
        "reward_text": ("text", "of the reward", "the reward in words, with its source"),
        "label_text": ("text", "of the label", "the label's dose in words, with its source"),
    },
    Schedule: {
        "decisions": ("whole number", "needed", "how many there are; or `horizon_h`, the length of the course, h")
    },
    Dosage: {
        "amounts": ("list of numbers or `{from, to, step}`", "the drug's", "the grid, ascending, in `unit`"),
        "unit": ("text", '"mg"', 'of an amount: `"mg"`, `"mg/kg"`, `"mg/min"`'),
        "compartment": ("text", "of the route", "where it goes"),
        "duration_h": ("number", "of the route", "of the infusion; 0 for a bolus or an oral dose"),
        "source": ("text", "the drug's", "where the grid comes from"),
        "usual": ("number", "the drug's", "the dose that the label gives a typical patient, in `unit`"),
        "route": (
            "text",
            "the drug's first",
            "a route of the drug, or a part of its name: compartment, duration, highest rate",
        ),
    },
    Monitoring: {"output": ("text", "the drug's first", "the measured output; every model of the scenario has it")},
    Target: {"output": ("text", "the measured one", "of which output")},
    Harm: {"output": ("text", "the measured one", "of which output")},
    Covariate: {},
}
LEFT_OUT: Mapping[type, frozenset[str]] = {
    Scenario: frozenset({"models", "drugs", "covariates"}),
    Covariate: frozenset({"name"}),
}
UNITS = {"_h": "h", "_mg": "mg"}


def main() -> None:
    """Write the page, or with ``--check`` say whether it is up to date."""
    page = PAGE.read_text()
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    made = f"{page[:begin]}\n\n{tables()}\n{page[end:]}"
    if "--check" in sys.argv:
        sys.exit(0 if made == page else f"{PAGE} is out of date: make docs")
    PAGE.write_text(made)


def tables() -> str:
    """All tables, and the distributions."""
    parts = [_table(title, kind) for title, kind in TABLES.items()]
    rows = [f"| `{name}` | {_call(kind)} | {_first(kind)} |" for name, kind in DISTRIBUTIONS.items()]
    head = '### Distributions\n\n`distribution = {kind = "normal", mean = 80, sd = 15}`. A number may also be the text'
    head += " `file.py:function`, a function of the covariates drawn before.\n\n| kind | keys | |\n|---|---|---|\n"
    return "\n".join([*parts, head + "\n".join(rows) + "\n"])


def _table(title: str, kind: type) -> str:
    said = _meanings(kind)
    own = OTHERWISE.get(kind, {})
    rows = []
    for name, (form, default, meaning) in own.items():
        rows.append(f"| `{name}` | {form} | {_unit(name)} | {default or 'needed'} | {meaning} |")
    for f in fields(kind):
        if f.name in own or f.name in LEFT_OUT.get(kind, ()):
            continue
        keys = ROWS.get((kind, f.name))
        form = f"list of `{{{', '.join(keys)}}}`" if keys else _form(f.type)
        meaning = said.get(f.name, "see its table below").replace("|", "\\|")
        rows.append(f"| `{f.name}` | {form} | {_unit(f.name)} | {_default(f)} | {meaning} |")
    head = f"### {title}\n\n| key | type | unit | default | meaning |\n|---|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _unit(name: str) -> str:
    return next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "")


def _meanings(kind: type) -> dict[str, str]:
    """Field -> what the class's docstring says of it."""
    text = inspect.getdoc(kind) or ""
    found: dict[str, str] = {}
    _, _, args = text.partition("Args:\n")
    for entry in re.split(r"\n(?=    \S)", "\n" + args.partition("\n\n")[0]):
        names, colon, meaning = entry.strip().partition(": ")
        if colon:
            words = " ".join(meaning.split()).replace("``", "`")
            words = "see its table below" if words.startswith("see ") else words.removesuffix(".")
            found |= dict.fromkeys((n.strip() for n in names.split(",")), words)
    return found


def _form(hint: Any) -> str:
    while isinstance(hint, TypeAliasType):
        hint = hint.__value__
    origin, args = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        options = [a for a in args if a is not type(None)]
        return _form(options[0]) if len(options) == 1 else "distribution"
    if origin is Literal:
        return ", ".join(f'`"{a}"`' for a in args)
    if origin is tuple:
        inner = _form(args[0])
        return f"list of {inner}s" if inner in {"number", "whole number", "text", "table"} else "list"
    if origin is not None and issubclass(origin, Mapping):
        return "table"
    if origin is not None and issubclass(origin, Callable):  # type: ignore[arg-type]
        return "`file.py:function`"
    names = {float: "number", int: "whole number", str: "text", bool: "true or false"}
    return names.get(hint, "table")


def _default(f: Any) -> str:  # noqa: PLR0911 - one a kind of value
    if f.default is MISSING and f.default_factory is MISSING:
        return "none" if type(None) in get_args(f.type) else "needed"
    value = f.default if f.default is not MISSING else f.default_factory()
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple) and value and all(isinstance(v, float) for v in value):
        return f"[{', '.join(f'{v:g}' for v in value)}]"
    return "as below" if getattr(value, "__dataclass_fields__", None) else "none"


def _call(kind: type) -> str:
    return ", ".join(f"`{f.name}`" for f in fields(kind)) or "none"


def _first(kind: type) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|").replace("``", "`")


if __name__ == "__main__":
    main()

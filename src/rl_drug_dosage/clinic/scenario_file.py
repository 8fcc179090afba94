"""A scenario as a TOML file: the same values, and the same checks, as `Scenario` in Python.

`docs/scenario-files.md` describes the format. A scenario file counts as the user's own code: it may refer to Python
files for drugs, rewards and label doses, but only in its own folder or below.
"""

import dataclasses
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rl_drug_dosage.clinic.adjust import decisions_of, function_of, reward_of
from rl_drug_dosage.clinic.cohort import covariates_of
from rl_drug_dosage.clinic.cohort_file import read_cohort
from rl_drug_dosage.clinic.events import Disturbance, Intake
from rl_drug_dosage.clinic.label_rules import LabelRule, usual_dose
from rl_drug_dosage.clinic.scenario import Goal, Harm, Scenario, whole_days
from rl_drug_dosage.clinic.toml_values import TableReader, keys_of
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError
from rl_drug_dosage.pkpd import (
    Categorical,
    Covariate,
    Derived,
    DrugModel,
    Fixed,
    LogNormal,
    Normal,
    Route,
    Target,
    Uniform,
)
from rl_drug_dosage.registry import DRUG, find, is_file_reference, load_drug

__all__ = ["DISTRIBUTIONS", "ROWS", "TOP", "read_scenario"]

DISTRIBUTIONS: Mapping[str, type] = {
    "normal": Normal,
    "log-normal": LogNormal,
    "uniform": Uniform,
    "categorical": Categorical,
    "fixed": Fixed,
    "derived": Derived,
}
ROWS: Mapping[tuple[type, str], tuple[str, ...]] = {
    (Target, "later"): ("from_h", "low", "high"),
    (Scenario, "strata"): ("title", "covariate", "edges"),
    (Disturbance, "profile"): ("at_h", "value"),
    (Intake, "schedule"): ("interval", "amount_mg"),
}
"""Fields that hold rows: the keys of a row's values in a file."""
_OTHERWISE = frozenset({"models", "drugs", "covariates"})
"""Fields of `Scenario` that a file gives under other keys: ``drug`` or ``drugs``, and ``cohort``."""
TOP: Mapping[str, Any] = {
    "drug": str,
    "drugs": tuple[str, ...],
    "cohort": dict,
    **{name: hint for name, hint in keys_of(Scenario).items() if name not in _OTHERWISE},
}
"""Every key at the top of a file."""


def read_scenario(path: Path) -> tuple[Scenario, tuple[Path, ...]]:
    """A scenario from a TOML file, for the registry.

    Args:
        path: the file.

    Returns:
        The scenario; the file and all files that it refers to.

    Raises:
        ConfigError: invalid TOML, a missing key, a value of the wrong type, incompatible units, or anything else that
            `Scenario` refuses.
        UnknownNameError: a key, covariate, drug, reward or kind that does not exist, with the nearest one.
        BadPluginError: a Python file that fails, or lacks the named object.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"cannot read {path}: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    file = _File(path)
    try:
        return file.scenario(table), (path, *dict.fromkeys(file.others))
    except RlDrugDosageError as error:
        if path.name not in str(error):
            error.args = (f"{path.name}: {error}",)
        raise


class _File:
    """One scenario file, while it is read."""

    def __init__(self, path: Path) -> None:
        self.name, self.folder = path.name, path.parent
        self.others: list[Path] = []
        self.tables = TableReader(path.name, self.function, DISTRIBUTIONS, ROWS, _homes())

    def scenario(self, table: dict[str, Any]) -> Scenario:
        """The whole file."""
        self.tables.check_keys(table, TOP, "the top level")
        models = self.models(table)
        tests = self.tables.value(tuple[str, ...], table.get("test_only", []), "the top level", "test_only")
        drug = models[0] if isinstance(models[0], DrugModel) else load_drug(models[0])
        self.need(table, "title", "schedule", "monitoring", "goal")
        schedule = self.schedule(table["schedule"])
        dosage = self.dosage(table.get("dosage", {}), drug)
        monitoring = self.tables.make(Monitoring, table["monitoring"], "[monitoring]", output=drug.outputs[0].name)
        goal = self.goal(table["goal"], monitoring.output)
        reward, reward_text = self.reward(table.get("reward", "goal"), whole_days(schedule, goal))
        label, label_text = self.label(table.get("label", "usual"), dosage)
        done = {"drug", "drugs", "cohort", "schedule", "dosage", "monitoring", "goal", "reward", "label"}
        done |= {"test_only"}
        rest = {
            key: self.tables.value(TOP[key], value, "the top level", key, Scenario)
            for key, value in table.items()
            if key not in done
        }
        clocks = {clock.name for clock in rest.get("clocks", ())}
        try:
            return Scenario(
                **{"reward_text": reward_text, "label_text": label_text, **rest},
                models=models,
                test_only=self.drugs("test_only", tests),
                schedule=schedule,
                dosage=dosage,
                monitoring=monitoring,
                goal=goal,
                reward=reward,
                label=label,
                covariates=self.cohort(table.get("cohort", {}), models, clocks),
            )
        except RlDrugDosageError as error:
            if str(error).startswith(f"{self.name}"):
                raise
            raise ConfigError(f"{self.name}: {error}") from error

    def need(self, table: Mapping[str, Any], *keys: str) -> None:
        """Refuse a file that lacks one of these."""
        for key in keys:
            if key not in table:
                self.tables.refuse(f"the top level needs {key}")

    def beside(self, text: str, what: str) -> Path:
        """A file that the scenario file may refer to: in its own folder or below.

        Raises:
            ConfigError: it lies elsewhere, or does not exist.
        """
        # A backslash separates folders on Windows only; a path must mean the same file everywhere.
        named = Path(text)
        if named.is_absolute() or ".." in named.parts or "\\" in text or (len(text) > 1 and text[1] == ":"):
            self.tables.refuse(
                f"{what} {text!r}: name a file in this file's own folder or below it, by a path without `..`"
            )
        path = self.folder / named
        if not path.resolve().is_relative_to(self.folder.resolve()):
            self.tables.refuse(f"{what} {text!r} leads out of this file's folder: copy the file into it")
        if not path.is_file():
            self.tables.refuse(f"{what} {text!r}: there is no file {path}")
        self.others.append(path)
        return path

    def function(self, text: str) -> Callable[..., Any]:
        """The function that ``file.py:function`` names, in a file beside this one."""
        name, colon, function = text.rpartition(":")
        if not colon or not name.endswith(".py"):
            self.tables.refuse(f"{text!r} must be file.py:function, with a Python file beside this one")
        path = self.beside(name, "the function")
        return function_of(f"{path.name}:{function}", path.parent)

    def models(self, table: Mapping[str, Any]) -> tuple[Any, ...]:
        """The drug models: names, and those of files as values."""
        if ("drug" in table) == ("drugs" in table):
            self.tables.refuse("give drug, a name or a file beside this one, or drugs, a list of them")
        key = "drug" if "drug" in table else "drugs"
        named = self.tables.value(TOP[key], table[key], "the top level", key)
        found = self.drugs(key, [named] if key == "drug" else named)
        if not found:
            self.tables.refuse("drugs is empty: give at least one")
        return found

    def drugs(self, key: str, named: Sequence[str]) -> tuple[Any, ...]:
        """Drug models of built-in names, and values of files beside this one."""
        found: list[Any] = []
        for text in named:
            if is_file_reference(DRUG, text):
                drug = find(DRUG, self.beside(text, key))
                # A model file of another program may have others beside it.
                self.others += drug.source.files if drug.source is not None else ()
                found.append(drug.value)
            elif ":" in text:
                self.tables.refuse(f"{key} {text!r}: a file may not name modules; give a name or a file beside it")
            else:
                found.append(load_drug(text).name)
        return tuple(found)

    def schedule(self, table: Any) -> Schedule:
        """The schedule table, with ``horizon_h`` converted to ``decisions`` if given."""
        if isinstance(table, dict) and "horizon_h" in table:
            horizon_h = self.tables.value(float, table["horizon_h"], "[schedule]", "horizon_h")
            if "decisions" in table:
                self.tables.refuse("[schedule] has decisions and horizon_h: give one of them")
            if "interval_h" not in table:
                self.tables.refuse("[schedule] needs interval_h")
            interval_h = self.tables.value(float, table["interval_h"], "[schedule]", "interval_h")
            if not interval_h > 0:
                self.tables.refuse(f"[schedule] interval_h is {interval_h:g}: allowed is a time above 0 h")
            table = {key: value for key, value in table.items() if key != "horizon_h"}
            try:
                table["decisions"] = decisions_of(horizon_h, interval_h)
            except ConfigError as error:
                self.tables.refuse(f"[schedule] {error}")
        return self.tables.make(Schedule, table, "[schedule]")

    def dosage(self, table: Any, drug: DrugModel) -> Dosage:
        """The dosage table, with the drug's ``route`` and a ``{from, to, step}`` grid resolved."""
        if not isinstance(table, dict):
            self.tables.refuse("[dosage] must be a table")
        table = dict(table)
        options = drug.dosing
        route = self.route(table.pop("route", None), drug)
        defaults: dict[str, Any] = {
            "compartment": route.compartment,
            "duration_h": route.duration_h,
            "unit": "mg",
            "source": options.source,
        }
        if table.get("unit", "mg") == "mg" and options.are_named:
            defaults |= {"amounts": options.amounts_mg, "usual": options.usual_dose_mg}
            defaults |= {"highest_rate_per_h": route.max_rate_mg_per_h}
        if isinstance(table.get("amounts"), dict):
            table["amounts"] = self.grid(table["amounts"])
        return self.tables.make(Dosage, table, "[dosage]", **defaults)

    def route(self, name: Any, drug: DrugModel) -> Route:
        routes = drug.dosing.routes
        if name is None:
            return routes[0]
        wanted = self.tables.value(str, name, "[dosage]", "route").casefold()
        fitting = [route for route in routes if wanted in route.name.casefold()]
        exact = [route for route in routes if wanted == route.name.casefold()]
        if len(exact or fitting) != 1:
            known = ", ".join(route.name for route in routes)
            self.tables.refuse(f"[dosage] route {name!r} is not one of {drug.name}: it has {known}")
        return (exact or fitting)[0]

    def grid(self, table: dict[str, Any]) -> list[float]:
        """``{from, to, step}`` as amounts."""
        where = "[dosage] amounts"
        self.tables.check_keys(table, dict.fromkeys(("from", "to", "step")), where)
        for key in ("from", "to", "step"):
            if key not in table:
                self.tables.refuse(f"{where} needs {key}")
        low, high, step = (self.tables.value(float, table[key], where, key) for key in ("from", "to", "step"))
        count = round((high - low) / step) if step > 0 and high > low else 0
        if not 1 <= count <= 10_000 or abs(low + count * step - high) > 1e-6 * step:
            self.tables.refuse(
                f"{where} from {low:g} to {high:g} in steps of {step:g}: the highest must be a whole number of steps "
                "above the lowest, at most 10,000"
            )
        return [low + i * step for i in range(count + 1)]

    def goal(self, table: Any, output: str) -> Goal:
        """Targets and harms; their output defaults to the measured one."""
        if not isinstance(table, dict):
            self.tables.refuse("[goal] must be a table")
        values = dict(table)
        for key in ("targets", "harms"):
            if key not in values:
                continue
            if not isinstance(values[key], list):
                self.tables.refuse(f"[goal] {key} must be a list of tables, [[goal.{key}]]")
            values[key] = [{"output": output, **each} if isinstance(each, dict) else each for each in values[key]]
        return self.tables.make(Goal, values, "[goal]")

    def reward(self, value: Any, goal: Goal) -> tuple[Any, str]:
        """A name, or ``file.py:function``."""
        text = self.tables.value(str, value, "the top level", "reward")
        if ":" not in text:
            return reward_of(text, goal)
        return reward_of(self.function(text), goal)

    def label(self, value: Any, dosage: Dosage) -> tuple[Any, str]:
        """``"usual"``, ``file.py:function``, or a table with a rule."""
        if isinstance(value, dict):
            rule = self.tables.make(LabelRule, value, "[label]")
            return rule, rule.text
        text = self.tables.value(str, value, "the top level", "label")
        if text == "usual":
            rule = usual_dose(dosage)
            return rule, rule.text
        if ":" not in text:
            remedy = "or give file.py:function, with a Python file beside this one, or a table [label]"
            raise UnknownNameError("label", text, ("usual",), remedy=remedy)
        function = self.function(text)
        said = " ".join((function.__doc__ or "").split())
        return function, said or text

    def cohort(self, table: Any, models: tuple[Any, ...], clocks: set[str]) -> tuple[Covariate, ...]:
        """The covariates given in the file: modified ones of the drugs, and its own; all of them if it names a CSV."""
        if not isinstance(table, dict):
            self.tables.refuse("[cohort] must be a table")
        known = covariates_of(models, without=clocks)
        given: dict[str, Covariate] = {}
        for name, own in table.items():
            if name != "csv":
                given[name] = self.covariate(name, own, known)
        if "csv" not in table:
            return tuple(given.values())
        path = self.beside(self.tables.value(str, table["csv"], "[cohort]", "csv"), "csv")
        order = {**{name: given.get(name, covariate) for name, covariate in known.items()}, **given}
        drawn = {name for name, own in table.items() if name != "csv" and "distribution" in own}
        return read_cohort(path, tuple(order.values()), drawn)

    def covariate(self, name: str, table: Any, known: Mapping[str, Covariate]) -> Covariate:
        """A drug's covariate with changes, or a new one of the scenario."""
        where = f"[cohort.{name}]"
        if not isinstance(table, dict):
            self.tables.refuse(f"{where} must be a table")
        if "name" in table:
            self.tables.refuse(f"{where} has the key name: the table's own name is the covariate's")
        if name in known:
            model = known[name]
            old = {f.name: getattr(model, f.name) for f in dataclasses.fields(Covariate)}
            old["source"] = f"changed in {self.name}, which names no source; the rest: {model.source}"
            return self.tables.make(Covariate, table, where, **old)
        if not {"unit", "low", "high", "typical"} <= set(table):
            self._stranger(name, known)
        return self.tables.make(Covariate, table, where, name=name)

    def _stranger(self, name: str, known: Mapping[str, Covariate]) -> NoReturn:
        keys = ", ".join(key for key in keys_of(Covariate) if key not in {"name", "words", "aliases"})
        self.tables.refuse(
            f"[cohort.{name}]: the drugs read {', '.join(known) or 'no covariates'}; another one needs {keys}"
        )


def _homes() -> dict[str, tuple[str, ...]]:
    """Key -> the tables that have it."""
    tables = {"the top level": TOP, "[schedule]": {**keys_of(Schedule), "horizon_h": float}}
    tables |= {"[dosage]": {**keys_of(Dosage), "route": str}, "[monitoring]": keys_of(Monitoring)}
    tables |= {"[goal]": keys_of(Goal), "[[goal.targets]]": keys_of(Target), "[[goal.harms]]": keys_of(Harm)}
    found: dict[str, tuple[str, ...]] = {}
    for table, keys in tables.items():
        for key in keys:
            found[key] = (*found.get(key, ()), table)
    return found

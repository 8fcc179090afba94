"""A regimen written as text as a policy: ``"1000 mg q12h"``, ``"2000 mg then 1000 mg q12h"``, ``"15 mg/kg q12h"``.

    regimen = dose ("then" dose)*        every dose but the last is given once
    dose    = AMOUNT UNIT [how often]    interval to the next dose; if omitted, that of the last dose
    how often = q12h | q 30 min | every 2 days | daily | once daily | twice daily | weekly

A rate (``"10 mg/min"``) applies until the next decision and has no interval. ``"fixed:500"`` is this amount at every
decision, in the unit of the scenario's dosage. Amounts per kg or per m2 are multiplied by the patient's weight or body
surface at the time of the dose and rounded to the grid, as in a clinic. Any other amount must be on the grid.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.errors import ConfigError

__all__ = ["Regimen", "read_words"]

_QUANTITIES = {
    "ng": ("mass", 1e-6),
    "ug": ("mass", 1e-3),
    "mcg": ("mass", 1e-3),
    "µg": ("mass", 1e-3),
    "μg": ("mass", 1e-3),
    "mg": ("mass", 1.0),
    "g": ("mass", 1e3),
    "U": ("units", 1.0),
    "IU": ("units", 1.0),
    "mU": ("units", 1e-3),
    "unit": ("units", 1.0),
    "units": ("units", 1.0),
}
_SIZES = {"kg": "wt_kg", "m2": "bsa_m2", "m^2": "bsa_m2", "m²": "bsa_m2"}
"""Body sizes that an amount can refer to -> their covariates."""
_RATES = {"min": 1 / 60, "h": 1.0, "d": 24.0, "day": 24.0}
_TIMES_H = {
    **dict.fromkeys(("min", "minute", "minutes"), 1 / 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 1.0),
    **dict.fromkeys(("d", "day", "days"), 24.0),
    **dict.fromkeys(("w", "wk", "week", "weeks"), 168.0),
}
_OFTEN_H = {"daily": 24.0, "once daily": 24.0, "twice daily": 12.0, "weekly": 168.0, "once weekly": 168.0}

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_EVERY = re.compile(r"(?:q|every)\s*(\d+(?:\.\d+)?)?\s*([a-z]+)")
_AMOUNT = re.compile(rf"({_NUMBER})(?:\s+(?=\S)|(?=[^\d\s.]))(.+)")
_KNOWN = "|".join(sorted(_QUANTITIES, key=len, reverse=True))
_COMMA = re.compile(rf"\s*(\d+(?:,\d+)+(?:\.\d+)?)\s*(?:{_KNOWN})(?=[\s/]|$)", re.IGNORECASE)
_EXAMPLES = "such as '1000 mg q12h', '15 mg/kg every 2 days', '5 mg daily' or '2000 mg then 1000 mg twice daily'"
_LOOKS_LIKE_ONE = re.compile(rf"\s*(?:{_NUMBER}(?:\s+\S|(?:{_KNOWN})(?=[\s/]|$))|fixed\s*:)", re.IGNORECASE)


@dataclass(frozen=True)
class _Unit:
    """A parsed unit: its dimension, its size in the base unit, and the body size it refers to."""

    kind: str
    size: float
    per: str = ""
    rate: bool = False


@dataclass(frozen=True)
class _Dose:
    """One dose of a regimen; ``every_h`` is None if no interval is given."""

    amount: float
    unit: str
    every_h: float | None
    text: str


class Regimen(Policy):
    """A fixed sequence of doses.

    Args:
        scenario: the task.
        amounts: amount at each decision, in the dosage's unit, before multiplication by body size.
        powers: exponents of the covariates ``sizes`` that multiply each amount.
        sizes: names of the body-size covariates.
    """

    scenario: Scenario = eqx.field(static=True)
    sizes: tuple[str, ...] = eqx.field(static=True)
    amounts: Float[Array, " decision"]
    powers: Int[Array, "decision size"]

    def init(self, record: Record, truth: Truth | None = None) -> tuple[()]:
        return ()

    def act(self, memory: tuple[()], observation: Record, key: PRNGKeyArray | None) -> tuple[Array, tuple[()]]:
        k = jnp.minimum(observation.k, self.amounts.shape[0] - 1)
        amount, facts = self.amounts[k], observation.facts()
        for i, name in enumerate(self.sizes):
            power = self.powers[k, i]
            amount = amount * jnp.where(power > 0, facts[name], jnp.where(power < 0, 1.0 / facts[name], 1.0))
        return snap(self.scenario, amount), memory


def read_words(text: str) -> PolicyDefinition | None:
    """Parse a regimen into a policy; None if the text is not a regimen, such as a policy name.

    Raises:
        ConfigError: a regimen that cannot be read.
    """
    if (comma := _COMMA.match(text)) and not Path(text).exists():
        raise _refuse(text, f"{comma.group(1)!r} is no number: write it without a comma, {_EXAMPLES}")
    if not _LOOKS_LIKE_ONE.match(text) or Path(text).exists():
        return None
    head, colon, rest = text.partition(":")
    if colon and head.strip().lower() == "fixed":
        return PolicyDefinition(title=f"{rest.strip()} at every decision", build=lambda s: _same(text, rest, s))
    doses = tuple(_dose(text, part) for part in re.split(r"\s+then\b\s*", text.strip()))
    return PolicyDefinition(title=f"the regimen {text.strip()}", build=lambda s: _regimen(text, doses, s))


def _refuse(text: str, why: str) -> ConfigError:
    return ConfigError(f"policy {text!r}: {why}")


def _dose(text: str, part: str) -> _Dose:
    """``1000 mg q12h``."""
    words = " ".join(part.split())
    often = next((w for w in sorted(_OFTEN_H, key=len, reverse=True) if words.lower().endswith(f" {w}")), None)
    every_h: float | None = None
    if often is not None:
        every_h, words = _OFTEN_H[often], words[: -len(often)].strip()
    elif match := re.search(r"\s(q\s*[\d.]+\s*[a-z]+|every\s.*)$", words, re.IGNORECASE):
        every_h, words = _every_h(text, match.group(1)), words[: match.start()]
    match = _AMOUNT.fullmatch(words)
    if match is None:
        raise _refuse(
            text, f"{part.strip()!r} is not a dose: write an amount, a unit and an interval, such as '1000 mg q12h'"
        )
    first, _, rest = match.group(2).strip().partition(" ")
    if rest and _unit(first) is not None and not rest.startswith("/"):
        raise _refuse(text, f"{rest!r} is not read as how often: write an amount, a unit and an interval, {_EXAMPLES}")
    return _Dose(float(match.group(1)), match.group(2).strip(), every_h, f"{match.group(1)} {match.group(2).strip()}")


def _every_h(text: str, words: str) -> float:
    match = _EVERY.fullmatch(words.lower())
    if match is None or match.group(2) not in _TIMES_H or float(match.group(1) or 1) <= 0:
        raise _refuse(
            text, f"{words!r} has no interval: write q12h, q30min, every 2 days, daily, twice daily or weekly"
        )
    return float(match.group(1) or 1) * _TIMES_H[match.group(2)]


def _unit(text: str) -> _Unit | None:
    """The parsed unit; None if it is unknown."""
    first, *rest = text.replace(" ", "").split("/")
    if first not in _QUANTITIES:
        return None
    kind, size = _QUANTITIES[first]
    per, rate = "", False
    for below in rest:
        if below in _SIZES and not per:
            per = _SIZES[below]
        elif below in _RATES and not rate:
            size, rate = size / _RATES[below], True
        else:
            return None
    return _Unit(kind, size, per, rate)


def _conversion(text: str, dose: _Dose, scenario: Scenario) -> tuple[float, dict[str, int]]:
    """The dose's unit in dosage units, and the exponents of the body-size covariates."""
    dosage = scenario.dosage
    if dose.unit == dosage.unit:
        return 1.0, {}
    came, needed = _unit(dose.unit), _unit(dosage.unit)
    fits = came is not None and needed is not None and came.kind == needed.kind and came.rate == needed.rate
    if came is None or needed is None or not fits:
        raise _refuse(text, f"{dose.unit!r} does not fit, an amount here is in {dosage.unit}; {_grid_text(scenario)}")
    powers: dict[str, int] = {}
    for name, power in ((came.per, 1), (needed.per, -1)):
        if name:
            powers[name] = powers.get(name, 0) + power
    powers = {name: power for name, power in powers.items() if power}
    known = [c.name for c in scenario.covariates]
    for name in powers:
        if name not in known:
            raise _refuse(
                text,
                f"{dose.unit!r} needs the covariate {name}, which this scenario does not have (it has "
                f"{', '.join(known) or 'none'}); give an amount in {dosage.unit}",
            )
    return came.size / needed.size, powers


def _grid_text(scenario: Scenario) -> str:
    amounts = scenario.dosage.amounts
    return f"amounts are {len(amounts)} from {amounts[0]:g} to {amounts[-1]:g} {scenario.dosage.unit}"


def _on_grid(text: str, what: str, amount: float, scenario: Scenario) -> float:
    """The amount on the dose grid.

    Raises:
        ConfigError: the amount is not on the grid; the message gives the nearest ones.
    """
    grid = np.asarray(scenario.dosage.amounts, float)
    nearest = grid[np.argmin(np.abs(grid - amount))]
    if abs(nearest - amount) <= 1e-6 * (1.0 + abs(amount)):
        return float(nearest)
    below, above = grid[grid < amount], grid[grid > amount]
    near = [f"{a:g}" for a in (*below[-1:], *above[:1])]
    nearest_text = f"amount is {near[0]}" if len(near) == 1 else f"amounts are {' and '.join(near)}"
    raise _refuse(
        text, f"{what} cannot be given: the nearest {nearest_text} {scenario.dosage.unit}; {_grid_text(scenario)}"
    )


def _same(text: str, rest: str, setting: Setting) -> Regimen:
    """``fixed:500``."""
    scenario = setting.scenario
    try:
        amount = float(rest)
    except ValueError:
        amount = math.nan
    if not math.isfinite(amount):
        raise _refuse(text, f"{rest.strip()!r} is not a finite number: write an amount in {scenario.dosage.unit}")
    amount = _on_grid(text, f"{amount:g} {scenario.dosage.unit}", amount, scenario)
    return Regimen(scenario, (), *_arrays([(0, amount, {})], 1, scenario, ()))


def _arrays(
    given: Sequence[tuple[int, float, dict[str, int]]], spacing: int, scenario: Scenario, sizes: tuple[str, ...]
) -> tuple[Array, Array]:
    """Amounts and exponents at every decision; the last dose is repeated every ``spacing`` decisions."""
    steps = scenario.schedule.decisions
    amounts, powers = np.zeros(steps, np.float32), np.zeros((steps, len(sizes)), np.int32)
    for i, (at, amount, own) in enumerate(given):
        last = i == len(given) - 1
        amounts[at :: spacing if last else steps] = amount
        powers[at :: spacing if last else steps] = [own.get(name, 0) for name in sizes]
    return jnp.asarray(amounts), jnp.asarray(powers)


def _regimen(text: str, doses: Sequence[_Dose], setting: Setting) -> Regimen:
    scenario = setting.scenario
    conversions = [_conversion(text, dose, scenario) for dose in doses]
    spacings = _spacings(text, doses, setting)
    given, at = [], 0
    for dose, spacing, (factor, powers) in zip(doses, spacings, conversions, strict=True):
        amount = factor * dose.amount
        if powers:
            _within(text, dose, amount, powers, scenario)
        else:
            amount = _on_grid(text, dose.text, amount, scenario)
        given.append((at, amount, powers))
        at += spacing
    if scenario.dosage.amounts[0] != 0 and any(s > 1 for s in spacings):
        raise _refuse(
            text, f"decisions between two doses need the amount 0, which is not on the grid; {_grid_text(scenario)}"
        )
    sizes = tuple(sorted({name for _, _, powers in given for name in powers}))
    return Regimen(scenario, sizes, *_arrays(given, spacings[-1], scenario, sizes))


def _within(text: str, dose: _Dose, amount: float, powers: dict[str, int], scenario: Scenario) -> None:
    """Refuse doses that would exceed the grid, or be rounded to 0, for some patient in the covariate ranges."""
    grid = scenario.dosage.amounts
    ends = [amount, amount]
    patients = []
    for name, power in powers.items():
        covariate = next(c for c in scenario.covariates if c.name == name)
        ends = [
            e * c**power for e, c in zip(ends, sorted((covariate.low, covariate.high), reverse=power < 0), strict=True)
        ]
        patients.append(f"{name} from {covariate.low:g} to {covariate.high:g}")
    smallest = grid[1] / 2 if grid[0] == 0 and amount > 0 else grid[0]
    if ends[1] > grid[-1] * (1 + 1e-6) or ends[0] < smallest * (1 - 1e-6):
        raise _refuse(
            text,
            f"{dose.text} is {ends[0]:.4g} to {ends[1]:.4g} {scenario.dosage.unit} for {' and '.join(patients)}; "
            f"{_grid_text(scenario)}",
        )


def _spacings(text: str, doses: Sequence[_Dose], setting: Setting) -> list[int]:
    """Number of decisions from each dose to the next."""
    scenario = setting.scenario
    unit = _unit(scenario.dosage.unit)
    if unit is not None and unit.rate:
        if any(d.every_h is not None for d in doses):
            raise _refuse(
                text, f"a rate in {scenario.dosage.unit} applies until the next decision: leave the interval out"
            )
        return [1] * len(doses)
    last = doses[-1].every_h
    if last is None:
        raise _refuse(text, f"how often is {doses[-1].text} given? {_intervals_text(setting)}")
    return [_spacing(text, d.every_h or last, setting) for d in doses]


def _per_dose_h(scenario: Scenario) -> float | None:
    """Hours between two administrations; None if they are not evenly spaced."""
    interval_h, at_h = scenario.schedule.interval_h, scenario.dosage.at_h
    every_h = interval_h / len(at_h)
    return every_h if np.allclose(np.diff([*at_h, at_h[0] + interval_h]), every_h) else None


def _spacing(text: str, every_h: float, setting: Setting) -> int:
    """Number of decisions in an interval."""
    scenario = setting.scenario
    own_h, times = _per_dose_h(scenario), every_h / scenario.schedule.interval_h
    if len(scenario.dosage.at_h) > 1:
        if own_h is not None and math.isclose(every_h, own_h, rel_tol=1e-6):
            return 1
    elif times > 0.5 and math.isclose(times, round(times), rel_tol=1e-6):
        return round(times)
    raise _refuse(text, f"every {_time(every_h)} does not fit. {_intervals_text(setting)}")


def _time(hours: float) -> str:
    if hours >= 336 and math.isclose(hours / 168, round(hours / 168)):
        return f"{hours / 168:g}w"
    return f"{hours:g}h" if hours >= 1 / 2 else f"{hours * 60:g}min"


def _intervals_text(setting: Setting) -> str:
    scenario, name = setting.scenario, setting.task.name
    interval_h, times, own_h = scenario.schedule.interval_h, len(scenario.dosage.at_h), _per_dose_h(scenario)
    if times > 1 and own_h is None:
        return f"{name} gives each amount {times} times at uneven times: use fixed:AMOUNT"
    if times > 1 and own_h is not None:
        return f"{name} gives each amount {times} times between two decisions: write q{_time(own_h)}"
    several = ", ".join(f"q{_time(interval_h * n)}" for n in (1, 2, 3) if n <= scenario.schedule.decisions)
    return f"{name} decides every {_time(interval_h)}: write {several} or another multiple"

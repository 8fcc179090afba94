"""What is asked of a dose search, checked before anything is read."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.dose_aims import Aim
from rl_drug_dosage.pharmacometrics.dose_target import aim_of
from rl_drug_dosage.pharmacometrics.simulation_plan import find_route
from rl_drug_dosage.pkpd import DrugModel, Route
from rl_drug_dosage.pkpd.bayes import Way
from rl_drug_dosage.pkpd.nonmem_data import Interpolation, PreDoseLevel
from rl_drug_dosage.utils.seeding import check_seed

__all__ = ["Criterion", "DoseOptions", "Question", "question_of"]

type Criterion = Literal["map", "distance", "probability", "percentile"]
type DrawsKind = Literal["resample", "laplace"]

_MOST_REGIMENS = 2000
_MOST_DRAWS = 20_000
_MOST_DOSES = 200


@dataclass(frozen=True, kw_only=True)
class DoseOptions:
    """What to search, for whom, and where to write.

    Args:
        drug: a drug model in any form that `registry` knows.
        data: NONMEM-style CSV file, see `pkpd.nonmem_data`.
        target: window, see `dose_target`; None: the model's first.
        criterion: by what regimens are ranked, see `dose_ranking`.
        percentile: of the posterior, for the criterion ``"percentile"`` and for ``wait_below``.
        amounts_mg: to try; empty: the drug's.
        intervals_h: to try; empty: the drug's.
        routes: names of routes to try, or parts of them; empty: the drug's first.
        durations_h: of infusions to try, in place of each route's; empty: the route's.
        doses: the interval that counts, from 1; None: steady state, of a linear model.
        start_h: when the next dose is due, as the file counts hours; None: an interval after the last dose.
        wait_below: the next dose waits until the output is below this level in ``percentile`` % of the posterior.
        occasions: estimate a kappa for every occasion of column OCC; future doses are in a new one.
        interpolation: how covariates hold between records.
        posterior: where draws come from.
        draws: how many.
        prior_weight: omega is divided by it, see `pkpd.bayes.prior`.
        pre_dose_level: what a level before the first dose means, see `read_nonmem`.
        seed: of the draws.
        output_dir: where files go; None: nothing is written.
    """

    drug: object
    data: Path
    target: str | None = None
    criterion: Criterion = "probability"
    percentile: float = 95.0
    amounts_mg: Sequence[float] = ()
    intervals_h: Sequence[float] = ()
    routes: Sequence[str] = ()
    durations_h: Sequence[float] = ()
    doses: int | None = None
    start_h: float | None = None
    wait_below: float | None = None
    occasions: bool = False
    interpolation: Interpolation = "nocb"
    posterior: DrawsKind = "resample"
    draws: int = 1000
    prior_weight: float = 1.0
    pre_dose_level: PreDoseLevel = "ignore"
    seed: int = 1
    output_dir: Path | None = None

    def __post_init__(self) -> None:
        _one_of("--criterion", self.criterion, get_args(Criterion.__value__))
        _one_of("--posterior", self.posterior, get_args(DrawsKind.__value__))
        if not 0 < self.percentile < 100:
            raise ConfigError(f"--percentile must be above 0 and below 100, not {self.percentile:g}")
        if not 10 <= self.draws <= _MOST_DRAWS:
            raise ConfigError(f"--draws must be from 10 to {_MOST_DRAWS:,}, not {self.draws}")
        if self.doses is not None and not 1 <= self.doses <= _MOST_DOSES:
            raise ConfigError(f"--doses must be from 1 to {_MOST_DOSES}, not {self.doses}")
        for name, values, low in (
            ("--amounts", self.amounts_mg, "at least 0"),
            ("--intervals", self.intervals_h, "above 0"),
            ("--durations", self.durations_h, "at least 0"),
        ):
            for value in values:
                if not (math.isfinite(value) and (value > 0 or (value == 0 and low != "above 0"))):
                    raise ConfigError(f"{name} must be finite numbers {low}, not {value:g}")
        if self.start_h is not None and not math.isfinite(self.start_h):
            raise ConfigError(f"--start must be a finite number of hours, not {self.start_h}")
        if self.wait_below is not None and not (math.isfinite(self.wait_below) and self.wait_below > 0):
            raise ConfigError(f"--wait-below must be a finite level above 0, not {self.wait_below}")
        check_seed(self.seed)


def _one_of(option: str, given: str, allowed: Sequence[str]) -> None:
    if given not in allowed:
        raise ConfigError(f"{option} must be {', '.join(allowed[:-1])} or {allowed[-1]}, not {given!r}")


@dataclass(frozen=True)
class Question:
    """What is searched for, in the drug's terms.

    Args:
        aim: window and metric.
        criterion: by what regimens are ranked.
        percentile: of the posterior.
        ways: routes and intervals.
        amounts_mg: ascending.
        doses: the interval that counts; None: steady state.
        wait_below: level below which the next dose may be given.
    """

    aim: Aim
    criterion: Criterion
    percentile: float
    ways: tuple[Way, ...]
    amounts_mg: tuple[float, ...]
    doses: int | None
    wait_below: float | None


def question_of(model: DrugModel, options: DoseOptions) -> Question:
    """The options in the drug's terms.

    Raises:
        ConfigError: a target, route or combination that the drug does not have.
    """
    aim = aim_of(model, options.target)
    dosing = model.dosing
    routes = [find_route(model, name) for name in options.routes] or [dosing.routes[0]]
    routes = [other for route in routes for other in _lasting(route, options.durations_h)]
    intervals = tuple(dict.fromkeys(options.intervals_h or dosing.intervals_h))
    amounts = tuple(sorted({float(amount) for amount in options.amounts_mg or dosing.amounts_mg}))
    lacking = [name for name, given in (("--amounts", amounts), ("--intervals", intervals)) if not given]
    if lacking:
        raise ConfigError(f"{model.name} names no doses: give {' and '.join(lacking)}, or [dosing] beside its file")
    ways = tuple(Way(route, float(interval)) for route in routes for interval in intervals)
    fitting = tuple(way for way in ways if way.route.duration_h <= way.interval_h * (1 + 1e-9))
    if not fitting:
        raise ConfigError(
            f"{routes[0].name} of {routes[0].duration_h:g} h is longer than every interval asked for: give --intervals "
            "or --durations that fit"
        )
    if len(fitting) * len(amounts) > _MOST_REGIMENS:
        raise ConfigError(
            f"{len(fitting) * len(amounts):,} regimens: give at most {_MOST_REGIMENS:,}, with fewer --amounts, "
            "--intervals or --routes"
        )
    if options.doses is None and not model.structure.linear:
        raise ConfigError(f"{model.name} is not linear: say after how many doses the target counts, --doses 5")
    if options.doses is None and aim.target.metric == "auc_total":
        raise ConfigError("auc_total grows with every dose: say after how many doses it counts, --doses 5")
    return Question(aim, options.criterion, options.percentile, fitting, amounts, options.doses, options.wait_below)


def _lasting(route: Route, durations_h: Sequence[float]) -> list[Route]:
    """The route with each duration, named by it."""
    if not durations_h:
        return [route]
    found = []
    for hours in dict.fromkeys(durations_h):
        name = f"{hours:g}-h infusion into {route.compartment}" if hours else f"bolus into {route.compartment}"
        limit = route.max_rate_mg_per_h if hours else None
        found.append(dataclasses.replace(route, name=name, duration_h=float(hours), max_rate_mg_per_h=limit))
    return found

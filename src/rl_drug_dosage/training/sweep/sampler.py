"""The next trial of a sweep, by Optuna's tree-structured Parzen estimator.

The only module that knows Optuna. What it proposes for a trial is a function of the sweep's seed, the trial's number
and the trials before it, so that a sweep that was stopped goes on as if it had not been.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rl_drug_dosage.errors import CheckpointError, DependencyError
from rl_drug_dosage.training.sweep.folder import TrialRecord
from rl_drug_dosage.training.sweep.space import Choices, Parameter, combinations

__all__ = ["Sampler", "require_optuna"]

_AT_RANDOM = 10
"""Trials before there is enough to learn from."""
_TRIES = 50
"""How often a proposal that was tried before is drawn again, before the first untried combination is taken."""


def require_optuna() -> Any:
    """Optuna's module.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise DependencyError.of("sweep", "Optuna", "sweep") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class Sampler:
    """Proposes trials.

    Args:
        space: what varies.
        seed: of the sweep.
        records: trials that are done, in order.

    Raises:
        DependencyError: Optuna is not installed.
        CheckpointError: a trial that is not of this sweep.
    """

    def __init__(self, space: Sequence[Parameter], seed: int, records: Sequence[TrialRecord]) -> None:
        self._optuna = require_optuna()
        self._space, self._seed = tuple(space), seed
        self._distributions = {p.name: self._distribution(p) for p in space}
        self._count = combinations(space)
        self._tried: set[tuple[Any, ...]] = set()
        self._study = self._optuna.create_study(direction="maximize")
        for record in records:
            try:
                self.tell(record)
            except (LookupError, TypeError, ValueError, AttributeError):
                raise CheckpointError(
                    f"trial {record.trial} of trials.json has values that the sweep does not have: restore it from a "
                    "copy"
                ) from None

    def _distribution(self, parameter: Parameter) -> Any:
        d = self._optuna.distributions
        if isinstance(parameter, Choices):
            return d.CategoricalDistribution(parameter.values)
        if parameter.whole:
            return d.IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
        return d.FloatDistribution(parameter.low, parameter.high, log=parameter.log)

    def tell(self, record: TrialRecord) -> None:
        """Learn the result of a trial."""
        states = self._optuna.trial.TrialState
        complete = record.objective is not None
        self._tried.add(self._key(record.params))
        self._study.add_trial(
            self._optuna.trial.create_trial(
                state=states.COMPLETE if complete else states.FAIL,
                params=dict(record.params),
                distributions=self._distributions,
                value=record.objective,
            )
        )

    def propose(self, number: int) -> dict[str, Any] | None:
        """The values of a trial; None: every combination has been tried.

        Args:
            number: of the trial.
        """
        if self._count is not None and len(self._tried) >= self._count:
            return None
        for attempt in range(_TRIES if self._count is not None else 1):
            found = self._drawn(number, attempt)
            if self._count is None or self._key(found) not in self._tried:
                return found
        return self._first_untried()

    def _drawn(self, number: int, attempt: int) -> dict[str, Any]:
        """A proposal; it leaves no trace in the study."""
        chance = int(np.random.SeedSequence((self._seed, number, attempt)).generate_state(1)[0])
        study = self._optuna.create_study(
            direction="maximize", sampler=self._optuna.samplers.TPESampler(seed=chance, n_startup_trials=_AT_RANDOM)
        )
        study.add_trials(self._study.trials)
        drawn = study.ask(self._distributions).params
        return {p.name: drawn[p.name] for p in self._space}

    def _first_untried(self) -> dict[str, Any]:
        names = [p.name for p in self._space]
        values = [p.values if isinstance(p, Choices) else range(int(p.low), int(p.high) + 1) for p in self._space]
        return next(dict(zip(names, one, strict=True)) for one in itertools.product(*values) if one not in self._tried)

    def _key(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(params[p.name] for p in self._space)

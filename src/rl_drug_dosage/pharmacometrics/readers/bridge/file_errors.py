"""Residual errors of a written model, with their sizes as numbers."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.readers.bridge.statements import Steps
from rl_drug_dosage.pharmacometrics.readers.expressions import Expr, Name, evaluate, names_in, substituted
from rl_drug_dosage.pharmacometrics.readers.written import ReadError, WrittenModel, WrittenOutput
from rl_drug_dosage.pkpd import Covariate, Param, Residual

__all__ = ["residual_of"]


def residual_of(  # noqa: PLR0911 - one case a kind of error
    written: WrittenModel,
    steps: Steps,
    output: WrittenOutput,
    unit: str,
    choice: str,
    covariates: Mapping[str, Covariate],
    source: Callable[[int], str],
) -> Residual | None:
    """The residual error of an output.

    Args:
        written: what the file says.
        steps: its statements.
        output: whose error it is.
        unit: of the output.
        choice: what the sidecar says: ``"typical"``, ``"none"`` or nothing.
        covariates: by the names of the file.
        source: of a line.

    Raises:
        ReadError: a size that depends on covariates, random effects or contents, and no choice.
    """
    if choice not in {"", "typical", "none"}:
        raise ConfigError(f"residual of {output.name!r} is {choice!r}; allowed: typical, none; correct it")
    error = output.error
    if error is None or choice == "none":
        return None
    sizes = _Sizes(written, steps, output, choice == "typical", covariates, source)
    a, b, c = error.additive, error.proportional, error.power
    match error.kind:
        case "add":
            return Residual("additive", additive=sizes.param(a, unit))
        case "prop":
            return Residual("proportional", proportional=sizes.param(b, "1"))
        case "combined1" | "combined2":
            one = sizes.param(b, "1")
            return Residual(error.kind, sizes.param(a, unit), one, None if c is None else sizes.param(c, "1"))
        case "pow":
            return Residual("power", proportional=sizes.param(b, "1"), power=sizes.param(c, "1"))
        case "lnorm":
            return Residual("lognormal", proportional=sizes.param(b if a is None else a, "1"))
        case "logit":
            return Residual("logit", additive=sizes.param(a, "1"), low=error.low, high=error.high)


class _Sizes:
    def __init__(
        self,
        written: WrittenModel,
        steps: Steps,
        output: WrittenOutput,
        typical: bool,
        covariates: Mapping[str, Covariate],
        source: Callable[[int], str],
    ) -> None:
        self._written, self._steps, self._output, self._source = written, steps, output, source
        self._known: dict[str, Any] = {n.name: n.value for n in written.thetas}
        if typical:
            self._known |= {name: c.typical for name, c in covariates.items()}
            self._known |= dict.fromkeys((e.name for e in (*written.etas, *written.occasion_etas)), 0.0)

    def param(self, expr: Expr | None, unit: str) -> Param:
        """The size, an expression of the file, as a number with its source."""
        w, output = self._written, self._output
        at = f"{w.path}:{output.line}: the residual error of {output.name!r}"
        if expr is None:
            raise ReadError(f"{at} lacks a size; allowed: {output.error.kind if output.error else ''} with its sizes")
        own = substituted(expr, {name: Name(now) for name, now in self._steps.last.items()})
        known, lines = dict(self._known), []
        with jax.enable_x64(True):
            for step in self._steps.needed(names_in(own)):
                if names_in(step.expr) <= set(known):
                    known[step.name] = evaluate(step.expr, known)
            if missing := sorted(names_in(own) - set(known)):
                raise ReadError(
                    f"{at} depends on {', '.join(missing)}, that is on covariates, random effects or contents; "
                    'supported: typical values; take it at its typical value (residual = "typical") or leave it out '
                    f'(residual = "none") in [outputs.{output.name}] of the sidecar'
                )
            size = abs(float(evaluate(own, known)))
        if not math.isfinite(size):
            raise ReadError(f"{at} is {size}; allowed: a finite number; correct it")
        thetas = {n.name: n for n in w.thetas}
        read = names_in(own).union(*(names_in(step.expr) for step in self._steps.needed(names_in(own))))
        lines = [thetas[name] for name in sorted(read) if name in thetas]
        line = lines[0].line if lines else output.line
        meaning = next((n.label for n in lines if n.label), "") or f"residual error of {output.name}"
        return Param(size, unit, self._source(line), meaning, unverified=True)

"""What a drug file says, as sections of text and tables: the page that `info --drug` prints and `make docs` writes."""

import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.drug_equations import equations
from rl_drug_dosage.pkpd import (
    Categorical,
    Correlation,
    Covariate,
    Derived,
    DrugModel,
    Eta,
    Fixed,
    LogNormal,
    Normal,
    Output,
    Param,
    Resampled,
    Route,
    Uniform,
)
from rl_drug_dosage.pkpd.population import omega_squared

__all__ = ["Page", "Section", "drug_page", "index_markdown", "markdown"]

_UNVERIFIED = "UNVERIFIED"
_KINDS = {
    "var": "omega^2",
    "sd": "omega",
    "cv_exact": "CV, omega^2 = ln(1 + CV^2)",
    "cv_approx": "CV, omega = CV",
    "cov": "covariance",
    "corr": "correlation",
}
_FORMS = {
    "lognormal": "P exp(eta)",
    "proportional": "P (1 + eta)",
    "additive": "P + eta",
    "logit": "logit P + eta",
}
_ERRORS = {
    "additive": "sd = a",
    "proportional": "sd = b f",
    "combined1": "sd = a + b f",
    "combined2": "variance = a^2 + (b f)^2",
    "lognormal": "ln y ~ N(ln f, b^2)",
    "power": "sd = b f^c",
    "logit": "logit y ~ N(logit f, a^2)",
}
_METRICS = {
    "trough": "trough of an interval",
    "peak": "peak of an interval",
    "average": "average over an interval",
    "auc24": "AUC of 24 h",
    "auc_total": "AUC from the first dose",
    "value": "at any time",
    "time_above": "share of the interval above the lower edge",
}


@dataclass(frozen=True)
class Section:
    """Lines, then a table; either may be empty."""

    heading: str
    lines: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    """Equations, shown as they stand."""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Page:
    """One drug."""

    name: str
    title: str
    sections: tuple[Section, ...]


def drug_page(model: DrugModel) -> Page:
    """Everything that the drug file says of the model."""
    sections = (
        _source(model),
        Section("Equations", code=tuple(equations(model))),
        _parameters(model),
        *_random_effects(model),
        _covariates(model.covariates),
        _outputs(model),
        _targets(model),
        _dosing(model),
        Section("Limits of use", tuple(f"- {line}" for line in model.limits_of_use)),
        Section("What was ambiguous", tuple(f"- {line}" for line in model.ambiguities)),
    )
    return Page(model.name, model.title, tuple(s for s in sections if s.lines or s.code or s.rows))


def _number(value: float) -> str:
    return f"{value:.10g}"


def _bounded(low: float | None, high: float | None) -> str:
    if low is None:
        return f"up to {_number(high or 0.0)}"
    return f"from {_number(low)}" if high is None else f"{_number(low)} to {_number(high)}"


def _with_unit(param: Param) -> str:
    return _number(param.value) + ("" if param.unit == "1" else f" {param.unit}")


def _cited(param: Param) -> str:
    return f"{_UNVERIFIED}: {param.source}" if param.unverified else param.source


def _source(model: DrugModel) -> Section:
    open_numbers = [place for place, param in _params(model) if param.unverified]
    open_numbers += [f"range of {c.name}" for c in model.covariates if "unverified" in c.source]
    lines = [
        f"Drug: {model.drug}",
        f"Population: {model.population}",
        f"Citation: {model.citation}",
        f"DOI: {model.doi}",
    ]
    if model.second_source:
        lines.append(f"Second source: {model.second_source}")
    if model.molar_mass is not None:
        lines.append(f"Molar mass: {_with_unit(model.molar_mass)} ({_cited(model.molar_mass)})")
    lines.append(f"Unverified numbers: {', '.join(open_numbers) or 'none'}")
    return Section("Model", tuple(lines))


def _params(model: DrugModel) -> Iterable[tuple[str, Param]]:
    yield from model.thetas.items()
    yield from ((f"eta of {eta.parameter}", eta.size) for eta in (*model.etas, *model.occasion_etas))
    for c in (*model.correlations, *model.occasion_correlations):
        yield f"{c.first} with {c.second}", c.size
    for output in model.outputs:
        if output.residual is not None:
            named = tuple((part, getattr(output.residual, part)) for part in ("additive", "proportional", "power"))
            yield from ((f"{kind} error of {output.name}", param) for kind, param in named if param is not None)


def _parameters(model: DrugModel) -> Section:
    rows = tuple((k, _number(p.value), p.unit, p.meaning, _cited(p)) for k, p in model.thetas.items())
    return Section("Parameters", columns=("name", "value", "unit", "meaning", "source"), rows=rows)


def _random_effects(model: DrugModel) -> Iterable[Section]:
    """Each group of etas with its correlations, sizes as printed and as the standard deviation that follows."""
    groups: tuple[tuple[str, tuple[Eta, ...], tuple[Correlation, ...]], ...] = (
        ("Between-subject variability", model.etas, model.correlations),
        ("Inter-occasion variability", model.occasion_etas, model.occasion_correlations),
    )
    for heading, etas, correlations in groups:
        rows: list[tuple[str, ...]] = [
            (e.parameter, _with_unit(e.size), _KINDS[e.kind],
             f"{omega_squared(e) ** 0.5:.4g}", _FORMS[e.form], e.size.meaning, _cited(e.size))
            for e in etas
        ]  # fmt: skip
        rows += [
            (
                f"{c.first} with {c.second}",
                _number(c.size.value),
                _KINDS[c.kind],
                "",
                "",
                c.size.meaning,
                _cited(c.size),
            )
            for c in correlations
        ]
        columns = ("parameter P", "published", "kind", "omega", "enters as", "meaning", "source")
        yield Section(heading, columns=columns, rows=tuple(rows))


def _range(covariate: Covariate) -> str:
    known = math.isfinite(covariate.low) and math.isfinite(covariate.high)
    return f"{_number(covariate.low)} to {_number(covariate.high)}" if known else "not stated"


def _covariates(covariates: tuple[Covariate, ...]) -> Section:
    rows = tuple(
        (c.name, c.column, c.unit, _range(c), _number(c.typical), _drawn(c), c.meaning,
         c.source.replace("unverified", _UNVERIFIED))
        for c in covariates
    )  # fmt: skip
    columns = ("name", "column", "unit", "published range", "typical", "virtual cohort", "meaning", "source")
    return Section("Covariates", columns=columns, rows=rows)


def _drawn(covariate: Covariate) -> str:  # noqa: PLR0911 - one a distribution
    """How a virtual cohort draws it, before truncation to the range."""

    def text(number: object) -> str:
        return "f(drawn before)" if callable(number) else _number(float(number))  # type: ignore[arg-type]

    match covariate.distribution:
        case Normal(mean, sd):
            return f"normal, mean {text(mean)}, sd {text(sd)}"
        case LogNormal(median, log_sd):
            return f"log-normal, median {text(median)}, log sd {text(log_sd)}"
        case Uniform(low, high):
            return f"uniform, {_number(low if low is not None else covariate.low)} to " + _number(
                high if high is not None else covariate.high
            )
        case Categorical(values, probabilities):
            return ", ".join(f"{_number(v)}: {p:.3g}" for v, p in zip(values, probabilities, strict=True))
        case Fixed(value):
            return f"always {_number(value)}"
        case Derived():
            return "from those drawn before"
        case Resampled(values):
            return f"from a table of {len(values):,} patients"


def _outputs(model: DrugModel) -> Section:
    def error(output: Output) -> str:
        if output.residual is None:
            return "none published"
        residual = output.residual
        said = _ERRORS[residual.kind]
        if residual.power is not None and residual.kind != "power":
            said = said.replace("b f", "b f^c")
        if residual.kind == "logit":
            said += f" between {_number(residual.low)} and {_number(residual.high)}"
        parts = [said]
        for letter, param in (("a", residual.additive), ("b", residual.proportional), ("c", residual.power)):
            if param is not None:
                parts.append(f"{letter} = {_with_unit(param)} ({param.meaning}; {_cited(param)})")
        return "; ".join(parts)

    rows = tuple((o.name, o.unit, o.meaning, error(o)) for o in model.outputs)
    return Section("Outputs and residual error", columns=("name", "unit", "meaning", "residual error"), rows=rows)


def _targets(model: DrugModel) -> Section:
    rows = tuple((t.output, _METRICS[t.metric], _bounded(t.low, t.high), t.unit, t.source) for t in model.targets)
    return Section("Targets", columns=("output", "metric", "window", "unit", "source"), rows=rows)


def _dosing(model: DrugModel) -> Section:
    dosing = model.dosing
    amounts = dosing.amounts_mg
    rows = tuple((r.name, r.compartment, _length(r)) for r in dosing.routes)
    columns = ("route", "into", "duration (h)")
    if not dosing.are_named:
        return Section("Dosing", (f"Amounts and intervals: none. Source: {dosing.source}",), (), columns, rows)
    steps = {round(b - a, 9) for a, b in itertools.pairwise(amounts)}
    step = f" in steps of {_number(min(steps))}" if len(steps) == 1 else f", {len(amounts)} amounts"
    lines = (
        f"Amounts: {_number(amounts[0])} to {_number(amounts[-1])} mg{step}; usual {_number(dosing.usual_dose_mg)} mg",
        f"Intervals: {', '.join(f'{interval:.6g}' for interval in dosing.intervals_h)} h (the first is the default)",
        f"Source: {dosing.source}",
    )
    return Section("Dosing", lines, columns=columns, rows=rows)


def _length(route: Route) -> str:
    """``1``, ``bolus``, ``at least 1; at most 600 mg/h``."""
    least = f"{route.duration_h:.6g}"
    if route.max_rate_mg_per_h is None:
        return least if route.duration_h else "bolus"
    return f"at least {least}; at most {route.max_rate_mg_per_h:.6g} mg/h"


def markdown(page: Page) -> str:
    """The page as Markdown."""
    text = [f"# {page.title}", f"`{page.name}`. Written by `make docs` from the drug file: edit that, not this page."]
    for section in page.sections:
        text.append(f"## {section.heading}")
        bullets = all(line.startswith("- ") for line in section.lines)
        text += ["\n".join(map(_escape, section.lines))] if bullets and section.lines else map(_escape, section.lines)
        if section.code:
            text.append("\n".join(("```text", *section.code, "```")))
        if section.rows:
            text.append(_table(section.columns, section.rows))
    return "\n\n".join(text) + "\n"


def _escape(text: str) -> str:
    """Markdown would read a star, an angle bracket or a bar as its own, except between backticks."""
    parts = text.split("`")
    return "`".join(part if i % 2 else re.sub(r"([*<|\\])", r"\\\1", part) for i, part in enumerate(parts))


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(map(_escape, row))} |" for row in rows]
    return "\n".join(lines).replace(_UNVERIFIED, f"**{_UNVERIFIED}**")


def index_markdown(models: Iterable[DrugModel]) -> str:
    """The list of all drugs, linked to their pages."""
    rows = [f"| [{m.name}]({m.name}.md) | {_escape(m.title)} | {_escape(m.population)} |" for m in models]
    head = ["| model | title | population |", "| --- | --- | --- |"]
    note = "Written by `make docs` from `src/rl_drug_dosage/drugs/`. For research and education only."
    return "\n".join(["# Drug models", "", note, "", *head, *rows]) + "\n"

"""What a Bayesian controller assumes about its patients: which models, how varied, and with which assay error.

The published model of a drug is one assumption among several. Patients may vary more than those whom its authors saw
(``widened``: the prior that domain randomisation trains a learnt policy with), follow another published model
(``mixture``), and a published residual error contains misspecification as well as the error of the laboratory
(``error``). `mipd`, `mipd-average` and `mipd-ensemble` share these options, so that they differ in nothing else.
"""

import dataclasses
from collections.abc import Mapping
from functools import lru_cache

from rl_drug_dosage.clinic.options import Option, checked_options, completed_options
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import estimable, model_of, randomised, simulator_of
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import DrugModel, Param, Residual
from rl_drug_dosage.pkpd.bayes import flattened

__all__ = [
    "ENSEMBLE_OPTIONS",
    "ESTIMATE",
    "MAP_OPTIONS",
    "assumed_by",
    "assumed_models",
    "estimate_words",
    "no_assay_error",
    "refused_assumptions",
]

_WIDENING = 1.0
"""Amount of domain randomisation of a widened prior, that of the recipes of training."""
_ERROR = Option(
    "residual error of levels: that of the model, or the laboratory's assay error alone",
    "published",
    words=("published", "assay"),
)
_FLATTEN = Option(
    "weight of the prior: the variances of the random effects are divided by it (Hughes & Keizer 2021)",
    1.0,
    low=0.001,
    high=1000.0,
)
MAP_OPTIONS: Mapping[str, Option] = {
    "prior": Option(
        "patients as varied as published, or as varied as in training (domain randomisation)",
        "published",
        words=("published", "widened"),
    ),
    "error": _ERROR,
    "flatten": _FLATTEN,
}
"""Options of a controller that believes one model."""
ESTIMATE = "mipd with its options, such as 'mipd,prior=widened', or '' for the dose of the support patients"
"""What `estimate_words` reads, for messages."""
ENSEMBLE_OPTIONS: Mapping[str, Option] = {
    "prior": Option(
        "patients as varied as published, or as varied as in training (domain randomisation); of the controller's "
        "model, or of every model of the scenario (mixture)",
        "published",
        words=("published", "widened", "mixture", "widened-mixture"),
    ),
    "error": _ERROR,
    "flatten": _FLATTEN,
}
"""Options of a controller that may believe several models."""


def assumed_by(setting: Setting, *, whole: bool = False) -> tuple[DrugModel, ...]:
    """The models that a policy assumes with the options of its setting; see `assumed_models`.

    A drug model that was added to the scenario to simulate its patients takes no part in a mixture.
    """
    chosen = completed_options(ENSEMBLE_OPTIONS, setting.options)
    prior, error, flatten = str(chosen["prior"]), str(chosen["error"]), float(chosen["flatten"])
    if prior == "published" and not whole:
        # As it was given, which need not be one of the scenario's models.
        return (_with_error(setting.scenario, flattened(setting.controller, flatten), error),)
    name = setting.controller.name
    return assumed_models(setting.scenario, name, prior, error, flatten, whole, setting.left_out(name))


@lru_cache
def assumed_models(
    scenario: Scenario,
    controller_name: str,
    prior: str = "published",
    error: str = "published",
    flatten: float = 1.0,
    whole: bool = False,
    left_out: tuple[str, ...] = (),
) -> tuple[DrugModel, ...]:
    """The drug models that a controller assumes its patients to follow.

    Args:
        scenario: the task.
        controller_name: the controller's model, one of the scenario's.
        prior: ``published``, ``widened``, ``mixture`` (of every model of the scenario) or ``widened-mixture``.
        error: ``published``, or ``assay``: that of the scenario's laboratory.
        flatten: weight of the prior, from 0.001 to 1,000.
        whole: with all random effects, also those from day to day, as patients are simulated; otherwise with those
            that the scenario lets a controller estimate.
        left_out: models of the scenario that do not take part in a mixture.

    Raises:
        UnknownNameError: the controller's model is not one of the scenario's.
        ConfigError: an assumption that is not one of these or that the scenario cannot offer, see
            `refused_assumptions`.
    """
    options: dict[str, str | float] = {"prior": prior, "error": error, "flatten": flatten}
    for name, option in ENSEMBLE_OPTIONS.items():
        option.read(options[name], name, f"the controller of {scenario.title!r}")
    own = tuple(name for name in scenario.models if name not in left_out or name == controller_name)
    names = own if "mixture" in prior else (controller_name,)
    if reason := refused_assumptions(scenario, options, own):
        raise ConfigError(reason)
    models = (_prior(scenario, name, prior, whole) for name in names)
    return tuple(_with_error(scenario, flattened(model, flatten), error) for model in models)


def estimate_words(reference: str, whose: str) -> dict[str, str | float]:
    """The options of `mipd` in text such as ``mipd,prior=widened``.

    Args:
        reference: the text.
        whose: what it is the value of, for messages.

    Raises:
        ConfigError: another policy, or no ``option=value``.
        UnknownNameError: an option or a word that is unknown.
    """
    name, *words = reference.split(",")
    pairs = [word.partition("=") for word in words]
    given = {option: value for option, _, value in pairs}
    if name != "mipd" or len(given) < len(words) or not all(value for _, _, value in pairs):
        raise ConfigError(f"{whose} must be {ESTIMATE}, not {reference!r}")
    return checked_options(MAP_OPTIONS, given, whose)


def refused_assumptions(
    scenario: Scenario, options: Mapping[str, str | float], models: tuple[str, ...] | None = None
) -> str:
    """Why a scenario cannot offer these assumptions; empty if it can.

    Args:
        scenario: the task.
        options: values of the options ``prior``, ``error`` and ``flatten``.
        models: the models that a mixture may consist of; None: all of the scenario's.
    """
    models = scenario.models if models is None else models
    if "mixture" in str(options["prior"]) and len(models) < 2:
        other = str(options["prior"]).replace("widened-mixture", "widened").replace("mixture", "published")
        return f"a mixture needs several drug models, and {scenario.title!r} has {models[0]} only: write prior={other}"
    return no_assay_error(scenario) if options["error"] == "assay" else ""


def no_assay_error(scenario: Scenario) -> str:
    """Why a controller of a scenario has no assay error to assume in place of its model's; empty if it has one."""
    if scenario.monitoring.error is None:
        return f"the assay error is not given in {scenario.title!r}: Bayesian dosing uses the model's residual error"
    model = model_of(scenario, scenario.models[0])
    if model.outputs[model.output_index(scenario.monitoring.output)].residual is None:
        return (
            f"{model.name} publishes no residual error: Bayesian dosing already uses the assay error in "
            f"{scenario.title!r}"
        )
    return ""


def _prior(scenario: Scenario, name: str, prior: str, whole: bool) -> DrugModel:
    if "widened" not in prior:
        return simulator_of(scenario, name) if whole else model_of(scenario, name)
    model = randomised(scenario, name, _WIDENING)
    # Variability from day to day that the scenario adds to its simulators is not a controller's to estimate.
    return (
        model
        if whole
        else estimable(scenario, dataclasses.replace(model, occasion_etas=model_of(scenario, name).occasion_etas))
    )


def _with_error(scenario: Scenario, model: DrugModel, error: str) -> DrugModel:
    """The model with the laboratory's error of the monitored output, if that is assumed."""
    monitoring = scenario.monitoring
    if error == "published" or monitoring.error is None:
        return model
    at = model.output_index(monitoring.output)
    outputs = list(model.outputs)
    outputs[at] = dataclasses.replace(outputs[at], residual=_scaled(monitoring.error, monitoring.error_scale))
    return dataclasses.replace(model, outputs=tuple(outputs))


def _scaled(residual: Residual, factor: float) -> Residual:
    """A residual error with standard deviations multiplied by a factor."""

    def times(size: Param | None) -> Param | None:
        return None if size is None else dataclasses.replace(size, value=factor * size.value)

    if factor == 1.0:
        return residual
    return dataclasses.replace(residual, additive=times(residual.additive), proportional=times(residual.proportional))

"""Public values are held to the types of their fields when they are made, in one line that names class and field."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.clinic import cohort, label_rules, scenario, ward
from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError
from rl_drug_dosage.pkpd import Fixed, Mammillary, Normal, description, distributions, linear, model, ode
from rl_drug_dosage.utils.typed_fields import typed_fields

SCENARIO = rldd.load_scenario("vancomycin")
DRUG = SCENARIO.drug(SCENARIO.models[0])
TARGET = SCENARIO.goal.targets[0]


ONE = Fixed(1.0)


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Thing:
    number: float = 1.0
    whole: int = 1
    text: str = ""
    flag: bool = False
    maybe: float | None = None
    either: float | Callable[[float], float] = 0.0
    word: Literal["a", "b"] = "a"
    rows: tuple[tuple[float, str], ...] = ()
    by_name: Mapping[str, int] = dataclasses.field(default_factory=dict)
    inner: Fixed = ONE
    anything: Any = None


FITTING = [
    ("number", 3),
    ("number", np.float32(3.0)),
    ("number", np.array(3)),
    ("number", jnp.asarray(3.0)),
    ("number", jnp.asarray(3.0, jnp.bfloat16)),
    ("number", float("nan")),
    ("whole", np.int64(3)),
    ("whole", jnp.asarray(3)),
    ("flag", np.bool_(True)),
    ("maybe", None),
    ("maybe", 3),
    ("either", abs),
    ("rows", ((1, "a"), (2.0, "b"))),
    ("by_name", {"a": 1}),
    ("anything", object()),
]
OTHERS = [
    ("number", "8", "number is '8'; allowed: a number"),
    ("number", True, "number is True; allowed: a number"),
    ("number", None, "number is None; allowed: a number"),
    ("number", 4j, "number is 4j; allowed: a number"),
    ("number", np.zeros(2), "number is a ndarray; allowed: a number"),
    ("number", jnp.asarray(1j), "allowed: a number"),
    ("number", jnp.asarray(True), "allowed: a number"),
    ("whole", 3.0, "whole is 3.0; allowed: a whole number"),
    ("whole", jnp.asarray(3.0), "allowed: a whole number"),
    ("whole", False, "whole is False; allowed: a whole number"),
    ("text", 5, "text is 5; allowed: a text"),
    ("flag", 1, "flag is 1; allowed: True or False"),
    ("maybe", "x", "maybe is 'x'; allowed: a number or None"),
    ("either", "x", "either is 'x'; allowed: a number or a function"),
    ("word", "c", "word is 'c'; allowed: a, b"),
    ("word", 1, "word is 1; allowed: a, b"),
    ("rows", 5, "rows is 5; allowed: a tuple of"),
    ("rows", ((1.0, 2.0),), "rows[0][1] is 2.0; allowed: a text"),
    ("rows", ((1.0,),), "rows[0] is (1.0,); allowed: a tuple of 2: a number, a text"),
    ("by_name", (), "by_name is (); allowed: a mapping from names to whole numbers"),
    ("by_name", {"a": "x"}, "by_name['a'] is 'x'; allowed: a whole number"),
    ("by_name", {1: 1}, "by_name, the name 1, is 1; allowed: a text"),
    ("inner", 1.0, "inner is 1.0; allowed: a Fixed"),
    ("inner", abs, "inner is the function abs; allowed: a Fixed"),
]


@pytest.mark.parametrize(("name", "value"), FITTING)
def test_what_fits_is_kept_as_it_is(name, value):
    assert getattr(Thing(**{name: value}), name) is value


@pytest.mark.parametrize(("name", "value", "said"), OTHERS)
def test_another_type_is_refused(name, value, said):
    with pytest.raises(ConfigError) as caught:
        Thing(**{name: value})
    assert str(caught.value).startswith("Thing")
    assert said in str(caught.value)


def test_a_list_is_made_a_tuple_at_any_depth():
    assert Thing(rows=[[1.0, "a"]]).rows == ((1.0, "a"),)
    assert hash(ward.Dosage(range(3), "mg", "central", "s", 1.0)) == hash(
        ward.Dosage((0, 1, 2), "mg", "central", "s", 1.0)
    )


def test_a_traced_number_is_a_number():
    assert jax.jit(lambda x: Thing(number=x).number * 2.0)(3.0) == 6.0


def test_a_keyword_that_is_no_field_is_told_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown field of Target 'hihg': did you mean 'high'\?"):
        description.Target("concentration", "trough", low=1.0, hihg=2.0, unit="mg/L", source="s")


def test_signatures_copies_and_pickles_are_as_of_any_dataclass():
    assert list(inspect.signature(Normal).parameters) == ["mean", "sd"]
    assert copy.deepcopy(TARGET) == TARGET == pickle.loads(pickle.dumps(TARGET)) == dataclasses.replace(TARGET)


PUBLIC = [
    kind
    for room in (description, distributions, model, linear, ode, ward, scenario, label_rules, cohort)
    for name in room.__all__
    if dataclasses.is_dataclass(kind := getattr(room, name)) and kind is not scenario.Judged
]


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_every_public_value_is_held_to_its_types(kind):
    """`Judged` is made of arrays while JAX traces, and by no user."""
    given = {f.name: object() for f in dataclasses.fields(kind)}
    with pytest.raises(RlDrugDosageError, match=rf"^{kind.__name__}: \w+ is an object; allowed: "):
        kind(**given)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: dataclasses.replace(SCENARIO, shield={"dose_mg": 3000}),
            "shield is {'dose_mg': 3000}; allowed: a Shi",
        ),
        (lambda: dataclasses.replace(SCENARIO, training={"learning_rate": 3}), "allowed: a TrainingSettings"),
        (lambda: dataclasses.replace(SCENARIO, adherence=0.2), "adherence is 0.2; allowed: an Adherence"),
        (lambda: dataclasses.replace(SCENARIO, title=5), "Scenario: title is 5; allowed: a text"),
        (lambda: dataclasses.replace(SCENARIO, covariates=5), "covariates is 5; allowed: a tuple of values of Covar"),
        (lambda: dataclasses.replace(SCENARIO, models="mine"), "models is 'mine'; allowed: a tuple"),
        (lambda: dataclasses.replace(TARGET, low=None, high=None), "low and high are None; allowed: an edge"),
        (lambda: dataclasses.replace(TARGET, low="8"), "low is '8'; allowed: a number or None"),
        (lambda: dataclasses.replace(DRUG, limits_of_use=5), "limits_of_use is 5; allowed: a tuple of texts"),
        (lambda: dataclasses.replace(DRUG, limits_of_use="none"), "limits_of_use is 'none'; allowed: a tuple of texts"),
        (lambda: dataclasses.replace(DRUG, thetas={"cl": 4.0}), "thetas['cl'] is 4.0; allowed: a Param"),
        (lambda: dataclasses.replace(DRUG, thetas=5), "thetas is 5; allowed: a mapping from names to values of Param"),
        (lambda: dataclasses.replace(DRUG.etas[0], size=0.3), "Eta 'cl': size is 0.3; allowed: a Param"),
        (lambda: Mammillary("1"), "Mammillary: peripherals is '1'; allowed: a whole number"),
        (lambda: ward.Schedule("24", 4, (24.0,)), "Schedule: interval_h is '24'; allowed: a number"),
        (lambda: ward.Monitoring("concentration", 12.0, "s"), "at_h is 12.0; allowed: a tuple of numbers"),
    ],
)
def test_what_people_get_wrong(make, said):
    with pytest.raises(RlDrugDosageError) as caught:
        make()
    assert said in str(caught.value)


def test_a_cohort_may_be_a_mapping():
    given = {"wt_kg": Fixed(80.0)}
    assert {c.name: c for c in dataclasses.replace(SCENARIO, covariates=given).covariates}["wt_kg"].distribution == (
        Fixed(80.0)
    )

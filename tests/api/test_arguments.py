"""What Python code may hand in wrongly: an error of ours that names the argument, before anything is computed."""

import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError, UnknownNameError

DRUG, SCENARIO = "vancomycin-goti2018", "vancomycin"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rldd.simulate(DRUG, patients="10"), "patients must be a whole number, not '10'"),
        (lambda: rldd.simulate(DRUG, patients=True), "patients must be a whole number, not True"),
        (lambda: rldd.simulate(DRUG, patients=2.5), "patients must be a whole number, not 2.5"),
        (lambda: rldd.simulate(DRUG, dose_mg="1000"), "dose_mg must be a number, not '1000'"),
        (lambda: rldd.simulate(DRUG, covariates=["wt_kg"]), "covariates must be a mapping of names to numbers"),
        (lambda: rldd.simulate(DRUG, output_dir=3), "output_dir must be a path, not 3"),
        (lambda: rldd.simulate(DRUG, progress=3), "progress must be True, False or a callback"),
        (lambda: rldd.estimate(DRUG, None), "data must be a path, not None"),
        (lambda: rldd.benchmark(SCENARIO, policies=3), "policies must be a list, or a dict of names and references"),
        (lambda: rldd.benchmark(SCENARIO, stress="all"), "stress must be a list of texts, not 'all'"),
        (lambda: rldd.benchmark(SCENARIO, patients=True), "patients must be a whole number, not True"),
        (lambda: rldd.evaluate(None), "model_path must be a path, not None"),
        (lambda: rldd.explain("x.pt", seed="1"), "seed must be a whole number, not '1'"),
        (lambda: rldd.train(SCENARIO, decisions=1.5), "decisions must be a whole number, not 1.5"),
        (lambda: rldd.train(env_id="Nope-v0"), "env_id is given as the environment itself: train.'Nope-v0'"),
        (lambda: rldd.check_drug(DRUG, level="deep"), "level must be one of declared, quick, thorough, not 'deep'"),
        (lambda: rldd.load_policy("models/agent.pt").start({"a": 1}), "uses no covariates"),
        (lambda: rldd.export_onnx(None, "x.onnx"), "model must be a loaded model, a file or a folder, not None"),
    ],
)
def test_an_argument_of_another_type_is_refused_by_name(call, said):
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        call()


def test_a_setting_that_training_does_not_have_is_named():
    with pytest.raises(UnknownNameError, match="did you mean 'num_envs'"):
        rldd.train(SCENARIO, num_env=3)


def test_numbers_of_numpy_are_numbers():
    simulated = rldd.simulate(DRUG, patients=np.int64(2), dose_mg=np.float32(500), days=1, progress=False)
    assert simulated.options.patients == 2

"""Every built-in policy and every shipped model keeps the public contract (`rl_drug_dosage.checks`)."""

from pathlib import Path

import pytest

from rl_drug_dosage.checks import check_policy
from rl_drug_dosage.ppo.model_file import load_model
from rl_drug_dosage.registry import POLICY, names

WHERE = {"aurora": "warfarin", "intermountain": "warfarin", "mipd-assay": "warfarin", "tci": "propofol"}
"""Where a policy is checked that does not fit everywhere; the others dose busulfan, four times."""
PLANNERS = ("best-bayes", "mipd", "mipd-assay", "mipd-average", "mipd-ensemble", "oracle", "tci")
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in PLANNERS else ()) for name in names(POLICY)]
MODELS = sorted(p for p in (Path(__file__).parents[2] / "models").glob("*.pt"))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_contract(name):
    report = check_policy(name, WHERE.get(name, "busulfan"))
    assert not report.findings, str(report)
    assert not report.skipped


@pytest.mark.slow
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_a_shipped_model_keeps_the_contract(path):
    env_id = load_model(path).env_id
    if env_id == "DrugDose-v0":
        pytest.skip("trained for DrugDose-v0, which is no scenario")
    report = check_policy(path, env_id)
    assert report.ok, str(report)

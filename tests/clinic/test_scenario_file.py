"""Scenarios in TOML files: the values of Python, the patients of a table, and one line for everything that is wrong."""

import dataclasses
import re
import runpy
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from rl_drug_dosage.clinic.cohort import Drawn, drawn
from rl_drug_dosage.clinic.patient import admit
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.scenario import Scenario, TrainingSettings
from rl_drug_dosage.clinic.scenario_file import TOP
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.errors import RlDrugDosageError, UnknownNameError
from rl_drug_dosage.pkpd import Fixed, Normal
from rl_drug_dosage.registry import find_scenario, load_drug, load_policy_definition, load_scenario
from rl_drug_dosage.trials.trial import Cohort, run_trial

DOCS = Path(__file__).parents[2] / "docs" / "scenario-files.md"
RULES = '''
import jax.numpy as jnp


def reward(judged):
    """As in the built-in one."""
    auc, low, high = judged.metrics[0][0], judged.low[0], judged.high[0]
    outside = jnp.where((auc < low) | (auc > high), jnp.abs(auc - 500.0) / 100.0, 0.0)
    return jnp.where(judged.interval > 0, -outside - jnp.where(auc > high, 0.5, 0.0), 0.0)


def label(facts, record):
    """25 mg/kg, then 15 mg/kg by creatinine clearance."""
    share = jnp.clip(facts["crcl_ml_per_min"] / 100.0, 0.2, 1.3)
    keep, load = 15.0 * facts["wt_kg"] * share, 25.0 * facts["wt_kg"]
    return jnp.minimum(jnp.where(record.k == 0, load, keep), 3000.0)
'''
VANCOMYCIN = """
title = "vancomycin every 12 h for 7 days, AUC24 400-600 mg h/L"
drugs = ["vancomycin-thomson2009", "vancomycin-goti2018"]
test_only = ["vancomycin-buelga2005"]
reward = "rules.py:reward"
label = "rules.py:label"
look_ahead = 6
strata = [
    {title = "renal function", covariate = "crcl_ml_per_min", edges = [60, 90]},
    {title = "weight", covariate = "wt_kg", edges = [70, 100]},
]

[cohort.crcl_ml_per_min]
low = 20
high = 150
typical = 100
distribution = {kind = "log-normal", median = 100, log_sd = 0.47}

[cohort.wt_kg]
low = 40
high = 160
typical = 90
distribution = {kind = "normal", mean = 90, sd = 25}

[cohort.dialysis]
distribution = {kind = "fixed", value = 0}

[schedule]
interval_h = 12
horizon_h = 168
output_times_h = [1, 3, 6, 8, 11, 12]

[dosage]
amounts = {from = 0, to = 5000, step = 250}
duration_h = 1
highest_rate_per_h = 600
usual = 1000
source = "the test"

[monitoring]
at_h = [6, 11]
intervals = [0, 2, 6, 10]
turnaround_h = 1
lloq = 0.5
source = "the test"

[goal]
title = "proportion of 12-h intervals, from the second on, whose last 24 h have an AUC of 400-600 mg h/L (%)"
steady = true
steady_text = "the test"

[[goal.targets]]
metric = "auc24"
low = 400
high = 600
unit = "mg h/L"
source = "the test"

[[goal.harms]]
name = "AUC24 > 600"
metric = "auc24"
above = 600
source = "the test"

[shield]
dose = 3000
day = 6000
factor = 3
level = 80

[training]
recipe = "chart"
total_timesteps = 500000
num_envs = 1024
init_logstd = -1.0
env = {belief = "vancomycin-thomson2009", action = "residual", mixture = [{}, {randomise = 1.0}]}
"""
WEIGHT = 'distribution = {kind = "normal", mean = 90, sd = 25}'
PLAIN = VANCOMYCIN.replace('reward = "rules.py:reward"\nlabel = "rules.py:label"\n', "")
"""Without files beside it."""


@pytest.fixture
def write(tmp_path):
    def make(text: str = PLAIN, name: str = "task.toml", **others: str) -> Path:
        (tmp_path / "rules.py").write_text(RULES)
        for other, content in others.items():
            (tmp_path / other.replace("__", ".")).write_text(content)
        path = tmp_path / name
        path.write_text(text)
        return path

    return make


def _told(value):
    """Without sources, titles in words and functions, which cannot be equal."""
    if dataclasses.is_dataclass(value):
        skipped = {"source", "reward", "reward_text", "label", "label_text", "meaning", "steady_text"}
        return {f.name: _told(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name not in skipped}
    if isinstance(value, tuple | list):
        return [_told(v) for v in value]
    return value


@pytest.mark.long
def test_a_file_says_what_the_built_in_scenario_says(write):
    """Every field, but for sources and the file's own training; a trial gives the same doses and rewards to the bit."""
    found, built_in = find_scenario(write(VANCOMYCIN)), find_scenario("vancomycin")
    training = TrainingSettings(
        recipe="chart",
        total_timesteps=500_000,
        num_envs=1024,
        init_logstd=-1.0,
        env={"belief": "vancomycin-thomson2009", "action": "residual", "mixture": [{}, {"randomise": 1.0}]},
    )
    assert _told(found.value) == _told(dataclasses.replace(built_in.value, training=training))
    assert found.name == "task"

    def trial(named):
        scenario = named.value
        first = scenario.models[0]
        setting = Setting(named, model_of(scenario, first), simulator_of(scenario, first))
        label = load_policy_definition("label").build(setting)
        return run_trial(scenario, setting.simulator, label, Cohort(1, 8))

    mine, theirs = trial(found), trial(built_in)
    np.testing.assert_array_equal(mine.dose, theirs.dose)
    np.testing.assert_array_equal(mine.reward, theirs.reward)


def test_the_same_file_is_the_same_task_and_shares_programs(write):
    path = write(VANCOMYCIN)
    assert load_scenario(path) == load_scenario(path)
    assert hash(load_scenario(path)) == hash(load_scenario(path))


def test_the_hash_covers_every_file_that_is_used(write, tmp_path):
    """TOML, functions, what they import, the drug, the table: a change of any changes it."""
    text = VANCOMYCIN.replace("[cohort.crcl", '[cohort]\ncsv = "p.csv"\n\n[cohort.crcl')
    rules = RULES.replace("import jax.numpy as jnp", "import jax.numpy as jnp\n\nimport numbers_of_mine")
    path = write(text, p__csv="CRCL,WT\n80,70\n60,90\n", numbers_of_mine__py="AIM = 1\n")
    (tmp_path / "rules.py").write_text(rules)

    source = find_scenario(path).source
    assert {f.name for f in source.files} == {"task.toml", "rules.py", "numbers_of_mine.py", "p.csv"}
    for name in ("task.toml", "rules.py", "numbers_of_mine.py", "p.csv"):
        before, file = find_scenario(path).source.sha256, tmp_path / name
        file.write_text(file.read_text() + "\n")
        assert find_scenario(path).source.sha256 != before


def test_a_drug_may_lie_beside_it(write, tmp_path):
    drug = "from rl_drug_dosage.drugs.vancomycin_goti2018 import DRUG as _D\nimport dataclasses\n"
    drug += 'DRUG = dataclasses.replace(_D, name="mine")\n'
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "mine.py").write_text(drug)
    drugs = 'drugs = ["below/mine.py", "vancomycin-thomson2009"]'
    found = find_scenario(write(re.sub("drugs = .*", drugs, PLAIN)))
    assert found.value.models == ("mine", "vancomycin-thomson2009")
    assert found.value.drug("mine").name == "mine"
    assert "mine.py" in {f.name for f in found.source.files}


def test_it_names_test_only_models(write, tmp_path):
    """By name, or by a file beside it; one that is a model of the scenario as well is refused, also as a copy."""
    bare = PLAIN.replace('test_only = ["vancomycin-buelga2005"]\n', "")
    drug = "from rl_drug_dosage.drugs.vancomycin_buelga2005 import DRUG as _D\nimport dataclasses\n"
    (tmp_path / "mine.py").write_text(drug + 'DRUG = dataclasses.replace(_D, name="mine", etas=(), correlations=())\n')
    found = find_scenario(write('test_only = ["mine.py", "vancomycin-buelga2005"]\n' + bare))
    assert found.value.test_only == ("mine", "vancomycin-buelga2005")
    assert not set(found.value.test_only) & set(found.value.models)
    assert found.value.drug("mine").name == "mine"
    assert "mine.py" in {f.name for f in found.source.files}
    (tmp_path / "copy.py").write_text(drug + 'DRUG = dataclasses.replace(_D, name="copy")\n')
    both = re.sub("drugs = .*", 'drugs = ["vancomycin-goti2018", "copy.py"]', bare)
    with pytest.raises(
        RlDrugDosageError, match=r"task.toml: .*'copy' is a copy of 'vancomycin-buelga2005', which only"
    ):
        find_scenario(write('test_only = ["vancomycin-buelga2005"]\n' + both))
    with pytest.raises(RlDrugDosageError, match=r"task.toml: .*test_only .*os:path.* may not name modules"):
        find_scenario(write('test_only = ["os:path"]\n' + bare))
    with pytest.raises(RlDrugDosageError, match=r"task.toml.*test_only"):
        find_scenario(write('test_only = "vancomycin-buelga2005"\n' + bare))


def test_a_highest_rate_comes_with_the_route(write, tmp_path):
    """Unless the file gives its own."""
    drug = "from rl_drug_dosage.drugs.vancomycin_goti2018 import DRUG as _D\nimport dataclasses\n"
    drug += "_R = dataclasses.replace(_D.dosing.routes[0], max_rate_mg_per_h=600.0)\n"
    drug += 'DRUG = dataclasses.replace(_D, name="mine", dosing=dataclasses.replace(_D.dosing, routes=(_R,)))\n'
    (tmp_path / "mine.py").write_text(drug)
    text = re.sub(r"\[dosage\].*?(?=\[mon)", "", re.sub("drugs = .*", 'drugs = ["mine.py"]', PLAIN), flags=re.DOTALL)
    assert load_scenario(write(text)).dosage.highest_rate_per_h == 600.0
    own = load_scenario(write(text + "\n[dosage]\nhighest_rate_per_h = 300\n"))
    assert own.dosage.highest_rate_per_h == 300.0
    assert own.dosage.longest_h == 10.0


def test_what_is_left_out_comes_from_the_drug(write):
    """Covariates, route, grid, usual dose; the label is the usual dose and the reward the goal."""
    text = re.sub(r"\[cohort.*?(?=\[schedule)", "", PLAIN, flags=re.DOTALL)
    text = re.sub(r"\[dosage\].*?(?=\[mon)", "", text, flags=re.DOTALL).replace("strata = [", "strata = []\n_ = [")
    text = re.sub(r"_ = \[.*?\n\]\n", "", text, flags=re.DOTALL)
    scenario = load_scenario(write(text))
    drug = scenario.drug("vancomycin-thomson2009")
    assert {c.name for c in drug.covariates} <= {c.name for c in scenario.covariates}
    assert next(c for c in scenario.covariates if c.name == "wt_kg") == next(
        c for c in drug.covariates if c.name == "wt_kg"
    )
    assert scenario.dosage.amounts == drug.dosing.amounts_mg
    assert scenario.dosage.usual == drug.dosing.usual_dose_mg
    assert scenario.dosage.compartment == drug.dosing.routes[0].compartment
    assert scenario.label_text.startswith(f"{drug.dosing.usual_dose_mg:g} mg")
    assert scenario.reward_text.startswith("goal")


@pytest.mark.long
def test_a_label_by_weight_with_a_cap(write):
    rule = '[label]\namount = 15\nfirst = 25\nunit = "mg/kg"\nper = "wt_kg"\nhighest = 2000\nsource = "the test"\n'
    scenario = load_scenario(write(PLAIN + rule))
    record = admit(scenario, simulator_of(scenario, scenario.models[0]), jax.random.key(0)).record

    def at(k, weight):
        return float(scenario.label({"wt_kg": weight}, dataclasses.replace(record, k=k)))

    assert [at(0, 70.0), at(1, 70.0), at(0, 100.0)] == [1750.0, 1050.0, 2000.0]


@pytest.mark.long
def test_a_table_of_patients_gives_rows_of_itself(write):
    """Weight and clearance of a drawn patient stand in one row, every row is drawn, and about equally often."""
    rows = [(80.0, 70.0), (60.0, 70.0), (60.0, 90.0), (45.5, 55.0)]
    csv = "ID,Weight,crcl_ml_per_min\n" + "".join(f"{i},{w:g},{c}\n" for i, (c, w) in enumerate(rows))
    text = PLAIN.replace("[cohort.crcl", '[cohort]\ncsv = "p.csv"\n\n[cohort.crcl')
    scenario = load_scenario(write(text, p__csv=csv))
    model = simulator_of(scenario, scenario.models[0])
    keys = jax.random.split(jax.random.key(1), 400)
    drawn = jax.vmap(lambda key: admit(scenario, model, key).truth.covariates)(keys)
    pairs = list(zip(np.asarray(drawn["crcl_ml_per_min"])[:, 0], np.asarray(drawn["wt_kg"])[:, 0], strict=True))
    count = [pairs.count(row) for row in rows]
    assert sum(count) == 400
    # 100 expected, sd 8.7
    assert all(70 < n < 130 for n in count)
    assert (np.asarray(drawn["dialysis"]) == 0).all()


def test_a_genotype_may_be_written_in_words(write):
    """Columns by their NONMEM name, genotypes as people write them."""
    text = """
title = "warfarin"
drug = "warfarin-hamberg2010"
[cohort]
csv = "p.csv"
[schedule]
interval_h = 24
decisions = 2
output_times_h = [24]
step_h = 1.5
[monitoring]
at_h = [24]
source = "the test"
[goal]
title = "INR"
[[goal.targets]]
metric = "trough"
low = 2
high = 3
unit = "1"
source = "the test"
"""
    scenario = load_scenario(write(text, p__csv="age,cyp2c9,vkorc1,inrbase\n60,*3/*1,ag,1\n50,22,GG,1.1\n"))
    values = {c.name: c.distribution.values for c in scenario.covariates}
    assert values["cyp2c9"] == (13.0, 22.0)
    assert values["vkorc1_g_alleles"] == (1.0, 2.0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("usual = 1000", 'usual = 1000\nunti = "mg"', r"key in \[dosage\] of task.toml: 'unti': did you mean 'unit'"),
        ("look_ahead", "look_ahaed", "key in the top level .*'look_ahaed': did you mean 'look_ahead'"),
        ("look_ahead = 6", "lloq = 6", r"'lloq'.*lloq belongs in \[monitoring\]"),
        ("dose = 3000", "dose_mg = 3000", r"key in \[shield\] .*'dose_mg': did you mean 'dose'"),
        ("interval_h = 12", 'interval_h = "12"', r"\[schedule\] interval_h must be a number, not '12'"),
        ("intervals = [0, 2, 6, 10]", "intervals = [0, 2.5]", r"\[monitoring\] intervals\[1\] must be a whole number"),
        ("lloq = 0.5", "lloq = true", r"\[monitoring\] lloq must be a number, not True"),
        ("lloq = 0.5", "lloq = nan", r"\[monitoring\] lloq must be a finite number"),
        ("intervals = [0, 2, 6, 10]", "intervals = [0, 20]", r"monitoring.intervals \(0, 20\); allowed"),
        ("horizon_h = 168", "horizon_h = 170", r"horizon_h is 170: allowed are multiples"),
        ("horizon_h = 168", "horizon_h = 168\ndecisions = 14", "give one of them"),
        (
            'unit = "mg h/L"',
            'unit = "mg/L"',
            r"goal.targets\[0\].unit, of auc24 of 'concentration', is mg/L, and .* in mg h/L",
        ),
        ("usual = 1000", 'usual = 1000\nunit = "g"', "1 g is 1000 mg: give mg_per_unit = 1000"),
        ("usual = 1000", 'usual = 1000\nunit = "mg/kg"', "a dose in mg/kg needs `per`"),
        (
            "highest_rate_per_h = 600\nusual = 1000",
            'usual = 1000\nunit = "mg/kg"\nper = "crcl_ml_per_min"',
            "a unit per mL/min",
        ),
        ("usual = 1000", "usual = 6000", "usual is 6000.*: allowed is a dose from 0 to 5000"),
        ("to = 5000", "to = 5100", "must be a whole number of steps"),
        ("at_h = [6, 11]", "at_h = [2]", r"monitoring.at_h \[2.0\] h; allowed: output times"),
        ("low = 400", "low = 700", "from 700.0 to 600.0 at 0 h"),
        ("low = 400", "lo = 400", r"key in \[\[goal.targets\]\] number 1 of task.toml: 'lo': did you mean 'low'"),
        ('metric = "auc24"\nlow', 'metric = "auc"\nlow', "metric must be one of trough"),
        ('source = "the test"\n\n[[goal.harms', "[[goal.harms", r"\[\[goal.targets\]\] number 1 needs source"),
        ("above = 600", "", "needs above or below"),
        ('kind = "normal"', 'kind = "gaussian"', "unknown kind in .cohort.wt_kg. distribution .*'gaussian'"),
        ("mean = 90", "maen = 90", "'maen': did you mean 'mean'"),
        ("[cohort.wt_kg]", "[cohort.weight]", "the drugs read .*; another one needs unit"),
        ('covariate = "wt_kg"', 'covariate = "wt"', r"strata\[1\] 'wt'"),
        ("vancomycin-goti2018", "vancomycin-gota2018", "unknown drug 'vancomycin-gota2018': did you mean"),
        (
            "vancomycin-goti2018",
            "busulfan-mccune2014",
            r"\[cohort.dialysis\]: the drugs read .*time_h; another one needs",
        ),
        ("vancomycin-goti2018", "mine.py", "drugs 'mine.py': there is no file"),
        ("vancomycin-goti2018", "../mine.py", "name a file in this file's own folder"),
        ("vancomycin-goti2018", "/tmp/mine.py", "name a file in this file's own folder"),
        ("vancomycin-goti2018", "sub\\\\mine.py", "name a file in this file's own folder"),
        ("vancomycin-goti2018", "os.path:join", "a file may not name modules"),
        ("look_ahead = 6", 'look_ahead = 6\nreward = "gaol"', "unknown reward 'gaol': did you mean 'goal'"),
        ("look_ahead = 6", 'look_ahead = 6\nreward = "../r.py:f"', "name a file in this file's own folder"),
        (
            "look_ahead = 6",
            'look_ahead = 6\nreward = "rules.py:rewrad"',
            "has no function 'rewrad'; it has reward, label",
        ),
        ("look_ahead = 6", 'look_ahead = 6\nlabel = "os:getcwd"', "must be file.py:function"),
        ("[training]", "[label]\namount = 15\nunit = 'g'\nsource = 'x'\n[training]", "label is in g, doses are in mg"),
        ("[schedule]", "[schedule", "task.toml is no TOML: .*line"),
        ("[schedule]", "[schedule]\nshown_unit = 'y'", "shown_unit must be one of d, h, min"),
        ("steady = true", "steady = 'yes'", r"task.toml: \[goal\] steady must be true or false, not 'yes'"),
        ("steady = true\n", "", r"steady is None and steady_text is 'the test'.*give steady, True or False"),
        ('steady_text = "the test"\n', "", r"task.toml: \[goal\]: .* give steady_text, the reason in one sentence"),
        ('steady_text = "the test"', "steady_txt = 1", "steady_txt.*did you mean 'steady_text'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(write, old, new, said):
    assert old in PLAIN
    path = write(PLAIN.replace(old, new, 1))
    with pytest.raises(RlDrugDosageError, match=said) as error:
        load_scenario(path)
    assert "\n" not in str(error.value)


def test_a_link_does_not_lead_out_of_the_folder(write, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text("raise SystemExit\n")
    (tmp_path / "here" / "mine.py").symlink_to(tmp_path / "elsewhere" / "mine.py")
    path = shutil.move(write(PLAIN.replace("vancomycin-goti2018", "mine.py")), tmp_path / "here" / "task.toml")
    with pytest.raises(RlDrugDosageError, match="leads out of this file's folder"):
        load_scenario(path)


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        ("CRCL,WT\n80,70\n60,7000\n", r"p.csv: row 3: wt_kg = 7000 kg is outside 40 to 160"),
        ("CRCL,WT\n80,heavy\n", "row 2: covariate 'wt_kg' is 'heavy': give a number"),
        ("CRCL,WT\n80,\n", "row 2: wt_kg is missing"),
        ("CRCL,WT\n80\n", "row 2 has 1 cells under 2 headers"),
        ("CRCL,WT\n80,inf\n", "row 2: covariate 'wt_kg' is 'inf': give a finite number"),
        ("CRCL,WGT\n80,70\n", r"no column for wt_kg .*add one called wt_kg or WT.*did you mean 'wgt'"),
        ("CRCL,WT,weight\n80,70,70\n", "columns 'WT' and 'weight' are both wt_kg"),
        ("CRCL,WT\n", "holds no patients"),
    ],
)
def test_a_bad_table_names_its_row(write, csv, said):
    text = PLAIN.replace("[cohort.crcl", '[cohort]\ncsv = "p.csv"\n\n[cohort.crcl').replace(WEIGHT, "")
    with pytest.raises(RlDrugDosageError, match=said) as error:
        load_scenario(write(text, p__csv=csv))
    assert "\n" not in str(error.value)


def test_in_python_covariates_may_be_left_out_or_changed_by_name():
    """A mapping changes how a covariate of the drug file is drawn; all else of it stays."""
    built_in = load_scenario("vancomycin")
    plain = dataclasses.replace(built_in, covariates=())
    assert {c.name for c in plain.covariates} == {"crcl_ml_per_min", "wt_kg", "dialysis"}
    changed = dataclasses.replace(built_in, covariates={"wt_kg": Normal(60.0, 5.0), "dialysis": Fixed(0.0)})
    for before, after in zip(plain.covariates, changed.covariates, strict=True):
        assert dataclasses.replace(after, distribution=before.distribution) == before
    assert next(c for c in changed.covariates if c.name == "wt_kg").distribution == Normal(60.0, 5.0)


def test_a_cohort_has_of_its_own_what_is_said_and_the_rest_of_the_drug_file():
    weight = next(c for c in load_drug("vancomycin-goti2018").covariates if c.name == "wt_kg")
    extra = dataclasses.replace(weight, name="x")
    (mine, other) = drawn(["vancomycin-goti2018"], {"wt_kg": Drawn(source="ours", low=50.0), "x": extra})
    assert mine == dataclasses.replace(weight, source="ours", low=50.0)
    assert other is extra
    with pytest.raises(UnknownNameError, match="did you mean 'wt_kg'"):
        drawn(["vancomycin-goti2018"], {"wt": Normal(70.0, 5.0)})


def test_keys_are_the_fields():
    """A field that `Scenario` gains can be given in a file, under its own name."""
    assert set(TOP) == {f.name for f in dataclasses.fields(Scenario)} - {"models", "drugs", "covariates"} | {
        "drug",
        "drugs",
        "cohort",
    }


def test_the_tables_of_the_manual_are_those_of_the_classes():
    """`make docs` writes them."""
    script = Path(__file__).parents[2] / "scripts" / "scenario_format.py"
    assert runpy.run_path(str(script))["tables"]() in DOCS.read_text()


@pytest.mark.long
def test_the_example_of_the_manual_runs(tmp_path):
    manual = DOCS.read_text()
    example = re.search(r"```toml title=task.toml\n(.*?)```", manual, re.DOTALL)[1]
    (tmp_path / "task.toml").write_text(example)
    (tmp_path / "patients.csv").write_text(re.search(r"```csv title=patients.csv\n(.*?)```", manual, re.DOTALL)[1])
    (tmp_path / "rules.py").write_text(re.search(r"```python title=rules.py\n(.*?)```", manual, re.DOTALL)[1])
    named = find_scenario(tmp_path / "task.toml")
    scenario, first = named.value, named.value.models[0]
    setting = Setting(named, model_of(scenario, first), simulator_of(scenario, first))
    trial = run_trial(scenario, setting.simulator, load_policy_definition("label").build(setting), Cohort(1, 8))
    assert np.isfinite(trial.reward).all()

"""How the policies in `models/` are tested, and tested again later, and what their cards then say."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from rl_drug_dosage.policies import best_bayes
from rl_drug_dosage.ppo.model_file import load_model, save_model
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.registry import SCENARIO, find_scenario, names
from rl_drug_dosage.trials import choosing
from rl_drug_dosage.trials.comparisons import over_seeds
from rl_drug_dosage.trials.trial import run_trial
from rl_drug_dosage.utils.seeding import Stream

ROOT = Path(__file__).parents[2]
SCRIPTS = ("make_models", "model_cards", "model_trials", "seed_tables", "training_runs", "markdown", "standing")
pytestmark = pytest.mark.skipif(not (ROOT / "scripts").exists(), reason="a source distribution has no scripts")
# Its policy has no belief, so that it compiles soon; it has a second and a third model.
QUICK, BELIEVED = "busulfan", "busulfan-mccune2014"
OTHER, THIRD = "busulfan-shukla2020", "busulfan-neroutsos2022"
WRONG, UNSEEN = (f"patients of {name}, controller believes {BELIEVED}" for name in (OTHER, THIRD))


@pytest.fixture
def scripts(monkeypatch):
    """The scripts are no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    yield {name: importlib.import_module(name) for name in SCRIPTS}
    for name in SCRIPTS:
        sys.modules.pop(name, None)


def row(policy, share, **more):
    return {
        "policy": policy,
        "attainment_pct": {"mean": share, "low": share - 2, "high": share + 2},
        "attainment_median_pct": share,
        "worst_5_pct": share - 50.0,
        "final_pct": share + 1.0,
        "harms": {},
        "dropouts": 0,
        "tuned": {},
        **more,
    }


def section(shares, variant=None, **more):
    """Results of one section: paired differences are those of the shares, give or take a point."""
    tuned = {"best-bayes": {"tuned": variant or {}}}
    pairs = [(a, b) for i, a in enumerate(shares) for b in list(shares)[i + 1 :]]
    return {
        "policies": [row(name, share, **tuned.get(name, {})) for name, share in shares.items()],
        "paired": [
            {"policy": a, "against": b, "mean": shares[a] - shares[b]}
            | {"low": shares[a] - shares[b] - 1, "high": shares[a] - shares[b] + 1}
            for a, b in pairs
        ],
        **more,
    }


def old_record():
    """A record as the first test wrote it: all seeds, no `best-bayes`, no third model."""
    shares = {"seed-5": 81.0, "seed-1": 80.0, "seed-2": 79.0}
    return {
        "scenario": QUICK,
        "env_id": find_scenario(QUICK).env_id,
        "median": "seed-5",
        "validation_pct": {"seed-1": 82.0, "seed-5": 81.5, "seed-2": 81.0},
        "runs": [{"seed": s, "steps": 10.0, "train_s": 5.0, "compile_s": 1.0} for s in (1, 2, 5)],
        "cohorts": {"validation": 1, "test": 20261124, "patients": 1000},
        "results": {
            "right model": section({**shares, "mipd": 78.0, "label": 60.0}),
            WRONG: section({"seed-5": 71.0, "seed-1": 73.5, "seed-2": 69.0, "mipd": 72.0, "label": 50.0}),
        },
    }


@pytest.fixture
def models(tmp_path):
    """A folder of published models with one in it, of the old form."""
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copyfile(ROOT / "models" / f"{QUICK}.pt", folder / f"{QUICK}.pt")
    (folder / f"{QUICK}.json").write_text(json.dumps(old_record()))
    (folder / "README.md").write_text("# Models\n\nBy hand.\n")
    return folder


def cards(scripts, models, record):
    (models / f"{QUICK}.json").write_text(json.dumps(record))
    scripts["model_cards"].write(models)
    return (models / f"{QUICK}.md").read_text(), (models / "README.md").read_text()


def test_a_record_of_the_old_form_has_its_card(scripts, models):
    """The range over the seeds in brackets; nothing is said of a reference that did not take part."""
    card, summary = cards(scripts, models, old_record())
    assert "| tested on | 1,000 patients of cohort 20261124, not used for any choice; range over all 3 training" in card
    assert "| **PPO** | 81.0 (79.0 to 81.0) | - | 81.0 | 31.0 (29.0 to 31.0) | 82.0 (80.0 to 82.0) |" in card
    assert "| mipd | 78.0 | +3.0 (+2.0 to +4.0) | 78.0 | 28.0 | 79.0 | none counted | 0 |" in card
    for absent in ("best-bayes", "Measured", "--again", "No policy, tuning"):
        assert absent not in card
    assert summary.startswith("# Models\n\nBy hand.\n\n<!-- written by")
    assert (
        "| correct | 81.0 (79.0 to 81.0) | - | - | - | 78.0 | +3.0 (+2.0 to +4.0) | - | - | 60.0 | 31.0 / - / 28.0 |"
        in summary
    )
    assert "|  | misspecified | 71.0 (69.0 to 73.5) | - |" in summary


def test_the_picture_shows_what_the_records_say(scripts, tmp_path):
    """A lead over the reference, and over the Bayesian policy that was the best in hindsight; and it is up to date."""
    differences = scripts["standing"].differences
    assert differences(old_record()) == []
    shares = {"seed-5": 81.0, "best-bayes": 79.0, "mipd": 80.5, "mipd-ensemble": 70.0, "label": 90.0}
    third = section({"best-bayes": 60.0, "seed-5": 55.0, "mipd": 50.0}, test_only=True)
    found = differences(old_record() | {"results": {UNSEEN: third, "right model": section(shares)}})
    assert [tuple(one) for one in found] == [(0, 2.0, 1.0, 3.0, 0.5), (2, -5.0, -6.0, -4.0, None)]

    shutil.copytree(ROOT / "models", tmp_path / "models")
    picture = scripts["standing"].draw(tmp_path / "models")
    assert picture.read_text() == (ROOT / "docs" / "pictures" / "standing.svg").read_text(), "run scripts/standing.py"


def new_record(scripts):
    """The same after a later test with the published seed, on three models."""
    old = old_record()
    chosen = {"variant": "mipd-ensemble,error=assay", "candidates": 9, "attainment_pct": 80.0}
    default = {"variant": "mipd-ensemble"}
    return old | {
        "cohorts": {**old["cohorts"], "test": 20261201},
        "over_seeds": scripts["model_trials"].over_seeds(old),
        "results": {
            "right model": section({"best-bayes": 83.0, "seed-5": 80.0, "mipd": 77.0}, chosen, test_only=False),
            WRONG: section({"seed-5": 70.0, "best-bayes": 68.0, "label": 51.0}, default, test_only=False)
            | {"stress": [{"title": "old patients", "policies": [row("seed-5", 33.0), row("best-bayes", 34.0)]}]},
            UNSEEN: section({"seed-5": 65.0, "best-bayes": 64.0, "mipd": 66.0}, chosen, test_only=True),
        },
    }


def test_a_record_of_the_new_form_has_the_reference_first(scripts, models):
    """Beside `best-bayes`, named with its variant; the seeds' range is an earlier cohort's; the third model is told."""
    card, summary = cards(scripts, models, new_record(scripts))
    assert "cohort 20261201, not used for any choice; the published seed only |" in card
    assert "`scripts/make_models.py --again busulfan`" in card
    right, wrong, unseen = card.split("\n## ")[1:4]
    assert right.startswith(f"Patients simulated from {BELIEVED}")
    assert (
        "PPO minus `best-bayes`: -3.0 (-4.0 to -2.0) points. PPO minus `mipd`: +3.0 (+2.0 to +4.0). "
        "`best-bayes` is `mipd-ensemble,error=assay`, chosen on validation patients.\n" in right
    )
    assert "an earlier cohort (seed 20261124) gave 79.0 to 81.0 %, and 81.0 % with the published one.\n" in right
    assert "| **PPO** | 80.0 | - | 80.0 | 30.0 | 81.0 |" in right
    assert "`best-bayes` is `mipd-ensemble`, the default, as none was chosen here." in wrong
    assert "gave 69.0 to 73.5 %, and 71.0 % with the published one.\n" in wrong
    assert "| setting | PPO | best-bayes |\n| --- | --- | --- |\n| old patients | 33.0 | 34.0 |\n" in wrong
    assert "No policy, tuning or training has seen this model" in unseen
    assert "Measured with the published seed only." in unseen
    assert "No policy, tuning" not in right + wrong
    right, wrong, unseen = summary.splitlines()[-3:]
    assert right == (
        "| [busulfan](busulfan.md) | correct | 80.0 | 83.0 | -3.0 (-4.0 to -2.0) "
        "| `mipd-ensemble,error=assay` (chosen) | 77.0 | +3.0 (+2.0 to +4.0) | - | - | - | 30.0 / 33.0 / 27.0 |"
    )
    assert wrong == (
        "|  | misspecified | 70.0 | 68.0 | +2.0 (+1.0 to +3.0) | `mipd-ensemble` (default) |"
        " - | - | - | - | 51.0 | 20.0 / 18.0 / - |"
    )
    assert unseen == (
        "|  | third model | 65.0 | 64.0 | +1.0 (+0.0 to +2.0) | `mipd-ensemble,error=assay` (chosen) |"
        " 66.0 | -1.0 (-2.0 to +0.0) | - | - | - | 15.0 / 14.0 / 16.0 |"
    )


def test_the_range_over_seeds_outlives_later_tests(scripts):
    """It is that of the last test with several seeds, however often the published one is tested after it."""
    over_seeds = scripts["model_trials"].over_seeds
    one_seed = {name: part for name, part in new_record(scripts).items() if name != "over_seeds"}
    assert over_seeds(one_seed)["attainment_pct"] == {}
    assert over_seeds(new_record(scripts)) == {
        "cohort": 20261124,
        "patients": 1000,
        "seeds": 3,
        "attainment_pct": {
            "right model": {"published": 81.0, "low": 79.0, "high": 81.0},
            WRONG: {"published": 71.0, "low": 69.0, "high": 73.5},
        },
    }


@pytest.mark.parametrize("name", names(SCENARIO))
def test_a_test_has_patients_of_every_model(name, scripts):
    """Test-only ones are marked; controllers believe the first, whose title stays as older records have it."""
    trials, named = scripts["model_trials"], find_scenario(name)
    found = trials.sections(named)
    assert [(s.simulator, s.test_only) for s in found] == [
        *((model, False) for model in named.value.models),
        *((model, True) for model in named.value.test_only),
    ]
    assert [s.title for s in found] == [
        "right model",
        *(f"patients of {s.simulator}, controller believes {named.value.models[0]}" for s in found[1:]),
    ]
    wards = {s.simulator: len(s.wards) for s in found if s.wards}
    expected = {"warfarin": {"warfarin-hamberg2007": 4}, "t1d": {"insulin-hovorka2004-clinic": 2}}
    assert wards == expected.get(name, {})
    policies = trials.clinical_policies(named)
    assert {"best-bayes", "mipd", "label", "oracle"} <= set(policies)
    assert not {"random", "mipd-average"} & set(policies)


@pytest.fixture
def tiny(scripts, models, tmp_path, monkeypatch):
    """`make_models` on eight patients and three clinical policies; `best-bayes` is the label here, chosen of two."""
    made = scripts["make_models"]
    monkeypatch.setattr(made, "MODELS", models)
    monkeypatch.setattr(made, "WORK", tmp_path / "build")
    monkeypatch.setattr(made, "PATIENTS", 8)
    monkeypatch.setattr(scripts["model_trials"], "default_policies", lambda _: ("best-bayes", "label", "random"))
    monkeypatch.setattr(scripts["model_trials"], "EXTRA_STRESS", {QUICK: ("double-error",)})
    tried = [{"policy": policy, "score_pct": 70.0} for policy in ("label", "mipd")]
    table = tmp_path / "best_bayes.json"
    entry = {BELIEVED: {"chosen": "label", "tried": tried}}
    table.write_text(json.dumps({"scenarios": {find_scenario(QUICK).env_id: entry}}))
    monkeypatch.setattr(best_bayes, "TABLE", table)
    best_bayes.choices.cache_clear()
    yield made
    best_bayes.choices.cache_clear()


@pytest.mark.slow  # compiles for a minute
def test_a_published_policy_is_tested_again_without_training(tiny, models, scripts, monkeypatch, capsys):
    """What training and selection recorded stays; sections that were measured are not measured twice."""
    model = (models / f"{QUICK}.pt").read_bytes()
    tiny.main(["--again", QUICK])
    record, before = json.loads((models / f"{QUICK}.json").read_text()), old_record()
    for stays in ("scenario", "env_id", "median", "validation_pct", "runs"):
        assert record[stays] == before[stays]
    assert (models / f"{QUICK}.pt").read_bytes() == model
    assert record["cohorts"] == {"validation": 1, "test": 20261201, "patients": 8}
    assert record["over_seeds"]["attainment_pct"][WRONG] == {"published": 71.0, "low": 69.0, "high": 73.5}
    settings = {title: found["settings"] for title, found in record["results"].items()}
    simulators = {title: (one["simulator"], one["controller"], one["seed"]) for title, one in settings.items()}
    assert simulators == {
        "right model": (BELIEVED, BELIEVED, 20261201),
        WRONG: (OTHER, BELIEVED, 20261201),
        UNSEEN: (THIRD, BELIEVED, 20261201),
    }
    assert [found["test_only"] for found in record["results"].values()] == [False, False, True]
    for found in record["results"].values():
        shares = {row["policy"]: row["attainment_pct"]["mean"] for row in found["policies"]}
        assert set(shares) == {"seed-5", "best-bayes", "label"}
        assert shares["best-bayes"] == shares["label"]
        assert (found.get("stress") is not None) is (found is record["results"][WRONG])
    (ward,) = record["results"][WRONG]["stress"]
    assert ward["name"] == "double-error"
    assert {row["policy"] for row in ward["policies"]} == {"seed-5", "best-bayes", "label"}
    assert "`label` (chosen)" in (models / "README.md").read_text()

    def measured(*_, **__):
        raise AssertionError("measured twice")

    monkeypatch.setattr(scripts["model_trials"], "trial", measured)
    capsys.readouterr()
    tiny.main(["--again", QUICK])
    assert capsys.readouterr().out.count(": kept\n") == 3
    assert json.loads((models / f"{QUICK}.json").read_text()) == record
    # Another number of patients is another question; so is a package or a model that has changed since.
    for owner, name, other in (
        (tiny, "PATIENTS", 9),
        (scripts["model_trials"], "_package_digest", lambda: "another"),
        (tiny, "MODELS", changed_copy(models)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, other)
            with pytest.raises(AssertionError, match="measured twice"):
                tiny.main(["--again", QUICK])


def changed_copy(models):
    """The folder with another model file under the same name."""
    copy = Path(shutil.copytree(models, models.with_name("changed")))
    with (copy / f"{QUICK}.pt").open("ab") as file:
        file.write(b" ")
    return copy


@pytest.mark.slow
def test_making_a_policy_tests_every_seed_against_the_reference(tiny, models, scripts, monkeypatch, tmp_path):
    """Training is left out here: twice the published policy and once the same with another network.

    The seeds are chosen on validation patients alone; then all are tested once, on every model, and what is read of
    the patients that were kept is what the record says.
    """

    def train(named):
        runs, scenario = [], named.name
        for seed, source in ((1, QUICK), (2, QUICK), (3, "other")):
            path = tmp_path / "build" / scenario / f"seed-{seed}.pt"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(models / f"{QUICK}.pt" if source == QUICK else tmp_path / "other.pt", path)
            runs.append((path, {"seed": seed, "steps": 1.0, "train_s": 1.0, "compile_s": 1.0}))
        return runs

    other_network(models / f"{QUICK}.pt", tmp_path / "other.pt")
    monkeypatch.setattr(tiny, "train", train)
    looked = []
    monkeypatch.setattr(choosing, "run_trial", lambda *a, **k: looked.append(a) or run_trial(*a, **k))
    tiny.main([QUICK])
    # Validation: the believed model, as published and more varied, in a stream that no training and no test has.
    assert {(model.name, cohort.stream, cohort.seed, cohort.count) for _, model, _, cohort in looked} == {
        (BELIEVED, Stream.VALIDATE, 2, 8)
    }
    assert len(looked) == 6
    assert len({model for _, model, *_ in looked}) == 2
    record = json.loads((models / f"{QUICK}.json").read_text())
    assert record["cohorts"] == {"validation": 2, "test": 20261217, "patients": 8}
    for name, score in record["validation_pct"].items():
        kinds = [record["validation"][kind][name] for kind in ("believed_pct", "randomised_pct")]
        assert score == pytest.approx(sum(kinds) / 2, abs=1e-3)
    assert record["median"] in {"seed-1", "seed-2"}
    assert list(record["results"]) == ["right model", WRONG, UNSEEN]
    over = record["over_seeds"]
    assert (over["cohort"], over["seeds"], over["patients"], over["reference"]) == (20261217, 3, 8, "best-bayes")
    for title, simulator in (("right model", BELIEVED), (WRONG, OTHER), (UNSEEN, THIRD)):
        shares = {row["policy"]: row["attainment_pct"]["mean"] for row in record["results"][title]["policies"]}
        seeds = [shares[f"seed-{seed}"] for seed in (1, 2, 3)]
        assert over["attainment_pct"][title] == {
            "published": shares[record["median"]],
            "low": min(seeds),
            "high": max(seeds),
        }
        found = over["against"][title]
        assert found["by_seed_pct"] == pytest.approx(seeds, abs=1e-3)
        assert found["attainment_pct"]["reference"] == pytest.approx(shares["best-bayes"], abs=1e-3)
        kept = np.load(tmp_path / "build" / QUICK / "test-20261217" / f"{simulator}.npz")
        assert list(kept["policies"]) == ["seed-1", "seed-2", "seed-3", "best-bayes"]
        *learnt, reference = kept["attainment_pct"]
        again = over_seeds(np.stack(learnt) - reference)
        assert found["attainment_pct"]["difference"] == again.record()
    card = (models / f"{QUICK}.md").read_text()
    assert "range over all 3 training seeds in brackets" in card
    assert "the median of 3 by attainment on validation patients of their own stream (seed 2): 8 as published" in card
    assert card.count("All 3 seeds on 8 patients of cohort 20261217 against `best-bayes`") == 3
    assert "Measured" not in card
    # A later test with the published seed alone leaves the comparison of the seeds as it is.
    tiny.main(["--again", QUICK])
    later = json.loads((models / f"{QUICK}.json").read_text())
    assert later["over_seeds"] == over
    assert later["cohorts"]["test"] == 20261218
    assert scripts["seed_tables"].summary([later]) == scripts["seed_tables"].summary([record]) != ""


def other_network(source, place):
    """The model file with another bias of the actor, so that it gives other doses."""
    model = load_model(source)
    tensors = model.policy.to_tensors()
    tensors["actor_mean.4.bias"] = tensors["actor_mean.4.bias"] + np.float32(0.5)
    changed = PpoPolicy.from_tensors(tensors, kind=model.policy.kind, norm_obs=model.policy.norm_obs)
    record = model.record
    save_model(place, changed, env=record["env"], training=record["training"], progress=record["progress"])


def compared(mean, p, **more):
    """A comparison with half a point to either side."""
    row = {"learnt": 80.0 + mean, "reference": 80.0}
    row["difference"] = {"mean": mean, "low": mean - 0.5, "high": mean + 0.5, "p": p, "se": 0.2, "df": 9.0}
    return {
        **dict.fromkeys(("attainment_pct", "worst_5_pct", "left_pct", "change_last_third_pct"), row),
        "by_seed_pct": [80.0 + mean, 80.5 + mean],
        "better_pct": 60.0,
        "worse_pct": 30.0,
        "harms_pct": {"a": row, "b": {**row, "difference": {**row["difference"], "mean": 9.0}}},
        **more,
    }


def test_p_values_step_down_over_scenarios_of_a_kind(scripts):
    """By hand: 0.01, 0.02 and 0.3 of three scenarios become 0.03, 0.04 and 0.3; the third model is a family of one."""
    tables = scripts["seed_tables"]

    def record(name, mean, p, **more):
        against = {"right model": compared(mean, p), **more}
        results = {"right model": {"test_only": False}, UNSEEN: {"test_only": True}}
        over = {"seeds": 2, "patients": 1000, "cohort": 7, "reference": "best-bayes", "against": against}
        return {"scenario": name, "results": results, "over_seeds": over}

    records = [
        record("a", 1.0, 0.02),
        record("b", -2.0, 0.01, **{UNSEEN: compared(1.0, 0.0001)}),
        record("c", 0.2, 0.3),
        old_record(),
    ]
    text = tables.summary(records)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| [")]
    assert [(row[0][3:4], row[1], *row[4:7]) for row in rows] == [
        ("a", "correct", "0.020", "0.040", "ahead"),
        ("b", "correct", "0.010", "0.030", "behind"),
        ("c", "correct", "0.300", "0.300", "level"),
        ("b", "third model", "< 0.001", "< 0.001", "ahead"),
    ]
    assert rows[1][3] == "-2.0 (-2.5 to -1.5)"
    assert rows[0][9] == "b: +9.0 (+0.5 to +1.5)"
    assert "(correct 3, misspecified 0, third model 1)" in text
    assert tables.summary([old_record()]) == ""
    assert tables.card_part(old_record(), "right model") == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / f"{QUICK}.json").unlink(), r"models/busulfan\.json is missing: make it first"),
        (lambda folder: (folder / f"{QUICK}.pt").unlink(), r"models/busulfan\.pt is missing: make it first"),
        (
            lambda folder: (folder / f"{QUICK}.json").write_text(json.dumps(old_record() | {"env_id": "Busulfan-v1"})),
            r"models/busulfan\.pt is of Busulfan-v1, and the scenario is Busulfan-v3 now: train it anew",
        ),
    ],
    ids=["no record", "no model", "another version"],
)
def test_what_was_not_published_is_not_tested_again(change, said, tiny, models):
    """One line, before anything is measured or written."""
    change(models)
    with pytest.raises(SystemExit, match=said):
        tiny.main(["--again", QUICK])
    assert not (models / f"{QUICK}.md").exists()


def test_ways_exclude_each_other(tiny, capsys):
    with pytest.raises(SystemExit):
        tiny.main(["--again", "--cards"])
    assert "not allowed with argument" in capsys.readouterr().err

"""Steps that come with the package: those that a search would find, for everything that asks for them."""

import dataclasses
import json
import threading

import pytest

from rl_drug_dosage.clinic.assumptions import assumed_models
from rl_drug_dosage.clinic.ensemble import meshes
from rl_drug_dosage.clinic.ensemble.mesh_search import found
from rl_drug_dosage.clinic.ensemble.meshes import CARRIED, TABLE, key_of, mesh_of
from rl_drug_dosage.registry import load_scenario


def test_the_table_holds_what_the_scenarios_ask_for(load_script) -> None:
    """And nothing else: run ``scripts/find_meshes.py`` after a change of a drug model or a scenario."""
    asked = {key: about for key, about, _ in load_script("find_meshes").asked_for()}
    known = {
        key: {k: v for k, v in entry.items() if k != "steps"} for key, entry in json.loads(TABLE.read_text()).items()
    }
    assert known == asked


@pytest.mark.slow
def test_the_table_holds_what_is_found(load_script) -> None:
    known = json.loads(TABLE.read_text())
    for key, about, (model, scenario, tolerance) in load_script("find_meshes").asked_for():
        steps = found(model, scenario, tolerance)
        assert json.loads(json.dumps(steps)) == known[key]["steps"], about


@pytest.mark.long
def test_a_search_finds_what_the_table_holds() -> None:
    scenario = load_scenario("chemotherapy")
    (model,) = assumed_models(scenario, scenario.models[0], "widened", whole=True)
    entry = json.loads(TABLE.read_text())[key_of(model, scenario, CARRIED)]
    assert entry["prior"] == "widened"
    assert [list(each) for each in found(model, scenario, CARRIED)] == entry["steps"]


def test_what_a_course_depends_on_is_in_the_key_and_nothing_else() -> None:
    scenario = load_scenario("warfarin")
    model, wide = (assumed_models(scenario, scenario.models[0], p, whole=True)[0] for p in ("published", "widened"))
    key = key_of(model, scenario, CARRIED)
    longer = dataclasses.replace(scenario, schedule=dataclasses.replace(scenario.schedule, decisions=20))
    assert (
        len({key, key_of(wide, scenario, CARRIED), key_of(model, longer, CARRIED), key_of(model, scenario, 0.1)}) == 4
    )
    assert key_of(model, dataclasses.replace(scenario, title="another", look_ahead=3), CARRIED) == key
    (assay,) = assumed_models(scenario, model.name, error="assay", whole=True)
    assert key_of(assay, scenario, CARRIED) == key


def test_threads_that_ask_together_share_one_search(monkeypatch) -> None:
    """Policies are prepared side by side, and both of them ask."""
    own = dataclasses.replace(load_scenario("chemotherapy"), look_ahead=3, daily_etas=())
    own = dataclasses.replace(own, dosage=dataclasses.replace(own.dosage, usual=own.dosage.amounts[2]))
    (model,) = assumed_models(own, own.models[0], whole=True)
    both, searches = threading.Barrier(2), []

    def slowly(*_):
        searches.append(1)
        threading.Event().wait(0.2)
        return ((3, 1.0),)

    monkeypatch.setattr(meshes, "found", slowly)
    got = []

    def ask() -> None:
        both.wait()
        got.append(mesh_of(model, own, 0.123))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(searches) == 1
    assert len(got[0][0].length_h) == 3
    assert got[0] is got[1]

"""Reference pages of the scenarios, their observations, and the policies, from the values."""

from typing import Any

from pictures import picture
from staging import ROOT, Stage, filled

from reference import table, tree
from rl_drug_dosage.pharmacometrics.drug_page import Page, Section, markdown
from rl_drug_dosage.pharmacometrics.scenario_page import scenario_page
from rl_drug_dosage.registry import POLICY, SCENARIO, Found, every, find_scenario, names

SHOWN = ("numbers", "names", "option", "meaning")


def scenarios() -> list[Found[Any]]:
    """Every built-in scenario."""
    return [find_scenario(name) for name in sorted(names(SCENARIO))]


def write_scenarios(stage: Stage) -> None:
    """A page for each scenario, with its picture, and the list of them with what docs/scenarios.md says of each."""
    rows, pages = [], []
    for found in scenarios():
        page = scenario_page(found)
        own = Page(page.name, page.title, tuple(s for s in page.sections if s.heading != "Observations"))
        where = f"reference/scenarios/{found.name}.md"
        text = markdown(own).replace(
            "Written by `make docs` from the drug file: edit that, not this page.", _gist(found)
        )
        name = f"scenario-{found.name}"
        text += f"\n## One patient\n\n{picture(stage, where, name, _drawn(found), _alternative(found))}\n"
        text += f"\nThe numbers that a learnt policy sees: [observations](../observations.md#{found.name}).\n"
        stage.write(where, text)
        pages.append(f"{found.name} </{where.removesuffix('.md')}>")
        rows.append((f"[{found.name}](scenarios/{found.name}.md)", found.value.title, f"`{found.env_id}`"))
    listed = table(("scenario", "task", "Gymnasium"), rows)
    menu = tree(["scenarios", *pages], maxdepth="1", hidden="")
    stage.write("reference/scenarios.md", filled("scenarios", scenarios=f"{listed}\n{menu}"))


def _gist(found: Found[Any]) -> str:
    card = ROOT / "models" / f"{found.name}.md"
    trained = f" A trained policy: [its card](../../models/{found.name}.md)." if card.exists() else ""
    return f"Gymnasium: `{found.env_id}`. [Explained with its sources](../../scenarios.md#{found.name}).{trained}"


def _drawn(found: Found[Any]) -> Any:
    def draw() -> Any:
        from rl_drug_dosage.checks.pictures import draw_scenario

        return draw_scenario(found)

    return draw


def _alternative(found: Found[Any]) -> str:
    return (
        f"One simulated patient of {found.name} under the label dose: levels, metrics of the goal with windows, doses"
    )


def write_observations(stage: Stage) -> None:
    """What a learnt policy sees in each scenario."""
    parts = []
    for found in scenarios():
        section: Section = next(s for s in scenario_page(found).sections if s.heading == "Observations")
        one = markdown(Page(found.name, found.name, (section,))).split("## Observations", 1)[1].strip()
        parts += [f"## {found.name}", one]
    stage.write("reference/observations.md", filled("observations", scenarios="\n\n".join(parts)))


def write_policies(stage: Stage) -> None:
    """The built-in policies and their options."""
    found, _ = every(POLICY)
    rows = []
    for one in found:
        definition = one.value
        marks = [
            word for word, on in (("sees the truth", definition.sees_truth), ("by chance", definition.chance)) if on
        ]
        if definition.candidates is not None:
            marks.append("tuned on a tuning cohort")
        rows.append((f"`{one.name}`", definition.title, ", ".join(marks)))
    parts = [table(("policy", "what it is", "what is special"), rows)]
    for one in found:
        if one.value.options:
            parts += [f"## Options of {one.name}", _options(one.value.options)]
    stage.write("reference/policies.md", filled("policies", policies="\n\n".join(parts)))


def _options(options: Any) -> str:
    rows = [
        (f"`{n}`", o.allowed, f"`{o.default if isinstance(o.default, str) else format(o.default, 'g')}`", o.meaning)
        for n, o in options.items()
    ]
    return table(("option", "allowed", "default", "meaning"), rows)

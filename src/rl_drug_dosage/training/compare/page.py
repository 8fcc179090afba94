"""A comparison of training runs as one HTML page that needs no network: the answer first, then figures and tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from rl_drug_dosage.reports.document import document
from rl_drug_dosage.reports.forest import comparison as paired_differences
from rl_drug_dosage.reports.markup import Cell, Html, definitions, el, join, paragraph, section, table
from rl_drug_dosage.reports.ranking import ranking
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.reports.words import amount, and_, capital, count, fixed, percent
from rl_drug_dosage.training.compare.curves import curve_figures, final_figures
from rl_drug_dosage.training.compare.shown import Shown

__all__ = ["comparison_html"]

_STYLE = """
.differences td, .differences thead th { white-space: nowrap; }
.differences tbody th { min-width: 0; overflow-wrap: normal; }
.curves { grid-template-columns: repeat(auto-fill, minmax(min(100%, 28rem), 1fr)); }
"""
_MOST_NAMED = 4
"""Runs that a sentence lists by name."""
_RETURN, _SHARE = "eval/mean_reward", "eval/in_range_pct"


def comparison_html(record: Mapping[str, Any]) -> str:
    """The page of a comparison's record, from `compare` or read from ``comparison.json``.

    Args:
        record: format 1.
    """
    shown = Shown(record)
    parts = [
        ("result", "Result", _result(shown)),
        ("final", "Final results", _final(shown)),
        ("curves", "Learning curves", _curves(shown)),
        ("trial", "Paired trial", _trial(shown)),
        ("differences", "What differed", _differences(shown)),
        ("runs", "Runs", _runs(shown)),
    ]
    links = [el("li", el("a", name, href=f"#{anchor}")) for anchor, name, _ in parts]
    title = f"{len(shown.runs)} training runs: {and_(shown.tasks)}"
    use = f"{capital(record['intended_use'])}."
    body = el(
        "body",
        el("a", "Skip to the result", href="#result", class_="skip"),
        el("header", paragraph("Training runs compared", class_="kicker"), el("h1", title),
           paragraph(use, class_="use"), class_="top"),
        el("nav", el("ul", *links), aria_label="Contents"),
        el("main", *(section(anchor, name, *content) for anchor, name, content in parts), id="main"),
        el("footer", paragraph(f"rl_drug_dosage. {use} All numbers are in comparison.json in the same folder.")),
    )  # fmt: skip
    return document(f"{title} compared", body, style=_STYLE)


def _result(shown: Shown) -> list[Html]:
    parts: list[Html] = []
    for task in shown.tasks:
        runs = [r for r in shown.of(task) if _RETURN in r["final"]]
        if not runs:
            parts.append(paragraph(f"On {task} no run was evaluated in training; see the curves.", class_="lead"))
            continue
        parts.append(definitions([_tile(shown, r) for r in shown.by_final(runs)[:4]], class_="tiles"))
        whole = [r for r in runs if r["complete"]] or runs
        parts.append(paragraph(*_sentence(shown, task, whole), class_="lead"))
    parts += [paragraph(el("strong", "Caution: "), text, class_="note") for text in _cautions(shown)]
    parts.append(shown.legend())
    return parts


def _tile(shown: Shown, run: Mapping[str, Any]) -> tuple[Html, Html]:
    final = run["final"][_RETURN]
    small = f"{fixed(final['iqm_low'])} to {fixed(final['iqm_high'])}" if run["seeds"] > 1 else "one seed"
    return (
        join(shown.who(run["name"]), ", return"),
        join(el("span", fixed(final["iqm"]), class_="big"), el("span", small, class_="small")),
    )


def _sentence(shown: Shown, task: str, runs: Sequence[Mapping[str, Any]]) -> list[Html]:
    first, *others = shown.by_final(runs)
    best = first["final"][_RETURN]
    found = [
        join(f"On {task}, ", el("strong", first["name"]), " ends with the highest return in evaluation: ",
             f"{_ending(first)}.")
    ]  # fmt: skip
    known = [r for r in others if r["seeds"] > 1]
    if best["iqm_low"] is not None and known:
        level = [r["name"] for r in known if r["final"][_RETURN]["iqm_high"] >= best["iqm_low"]]
        if level:
            named = and_(level) if len(level) <= _MOST_NAMED else f"{len(level)} other runs"
            ours = f"The interval of {named} overlaps" if len(level) == 1 else f"The intervals of {named} overlap"
            found.append(join(f" {ours} with its own: more seeds may change the order."))
        else:
            found.append(join(" No other interval overlaps with its own."))
    return found


def _seeds(run: Mapping[str, Any]) -> str:
    return "one seed" if run["seeds"] == 1 else f"{run['seeds']} seeds"


def _ending(run: Mapping[str, Any]) -> str:
    value = fixed(run["final"][_RETURN]["iqm"])
    if run["seeds"] == 1:
        return f"{value} with its one seed"
    return f"an interquartile mean of {value} over {_seeds(run)}"


def _cautions(shown: Shown) -> list[str]:
    found = []
    few = [r["name"] for r in shown.runs if r["seeds"] < 5]
    if few:
        found.append(f"{and_(few)} {'has' if len(few) == 1 else 'have'} fewer than five seeds, too few to rank by.")
    stopped = [f"{r['name']} ({r['state']})" for r in shown.runs if not r["complete"]]
    if stopped:
        found.append(f"not finished, and shown as far as it goes: {and_(stopped)}.")
    for task in shown.tasks:
        if len({r["env_kwargs"] for r in shown.of(task)}) > 1:
            found.append(
                f"runs on {task} have different options of the environment: their patients, or what a return is, may "
                "differ, so that only the paired trial compares like with like."
            )
        if len({r["eval_episodes"] for r in shown.of(task)}) > 1:
            found.append(f"runs on {task} were evaluated on different numbers of episodes.")
    if len(shown.tasks) > 1:
        found.append("the runs trained on different tasks: returns are compared within a task only.")
    if shown.record["refused"]:
        found.append(f"left out: {and_([f'{r["path"]} ({r["reason"]})' for r in shown.record['refused']])}.")
    return found


def _final(shown: Shown) -> list[Html]:
    parts = []
    for task in shown.tasks:
        runs = shown.of(task)
        caption = (
            f"{task}: the last value that each run logged. The interquartile mean leaves out a quarter of the seeds at "
            "each end; its 95\u00a0% interval is from resampling seeds."
        )
        columns = ["run", "seeds", "state", "return, interquartile mean", "median", "lowest to highest",
                   "time in range", "return in training", "seconds"]  # fmt: skip
        rows = [(_final_cells(shown, r), shown.style(r["name"])) for r in runs]
        listed = table(caption, columns, rows, label=f"Final results on {task}", class_="numbers")
        figures = final_figures(shown, task, runs)
        parts += [*figures, listed]
    return parts


def _final_cells(shown: Shown, run: Mapping[str, Any]) -> list[Cell | str]:
    found, training = run["final"].get(_RETURN), run["final"].get("charts/episodic_return")
    share = run["final"].get(_SHARE)
    return [
        Cell(shown.who(run["name"]), head=True),
        str(run["seeds"]),
        run["state"],
        "–" if found is None else Cell(join(el("span", fixed(found["iqm"]), class_="main"), _under(found))),
        "–" if found is None else fixed(found["median"]),
        "–" if found is None or run["seeds"] == 1 else f"{fixed(found['lowest'])} to {fixed(found['highest'])}",
        "–" if share is None else percent(share["median"]),
        "–" if training is None else fixed(training["median"]),
        fixed(run["seconds"]),
    ]


def _under(found: Mapping[str, Any]) -> Html | None:
    if found["iqm_low"] is None:
        return None
    return el("span", f"{fixed(found['iqm_low'])} to {fixed(found['iqm_high'])}", class_="sub")


def _curves(shown: Shown) -> list[Html]:
    bands = paragraph(
        "Median: over seeds, with the quartiles as a band and, for up to four runs, the lowest and highest seed as a "
        "lighter one. Interquartile mean: with its 95\u00a0% interval from resampling seeds."
    )
    parts = [bands] if any(run["seeds"] > 1 for run in shown.runs) else []
    parts.append(shown.legend())
    for task in shown.tasks:
        parts += [el("h3", task)] if len(shown.tasks) > 1 else []
        parts += curve_figures(shown, task, shown.of(task))
    return parts


def _trial(shown: Shown) -> list[Html]:
    record = shown.record["trial"]
    if record is None:
        return [paragraph(f"There is no paired trial: {shown.record['no_trial']}.")]
    view, settings = View(record), record["settings"]
    without = [f"{r['name']} ({r['reason']})" for r in shown.record["trial_without"]]
    many = " Of a run with several seeds, the policy of the median seed is tried." if _several(shown) else ""
    parts = [
        paragraph(
            f"The policies of the runs treated the same {count(settings['patients'])} virtual patients, who are in no "
            f"training or evaluation (seed {settings['seed']}, simulated with {settings['simulator']}).{many} "
            f"{capital(record['scenario']['goal'])}."
        ),
        *([paragraph(f"Not tried: {and_(without)}.")] if without else []),
        *ranking(view),
    ]
    return [*parts, el("h3", "Paired differences"), *paired_differences(view)]


def _several(shown: Shown) -> bool:
    return any(r["seeds"] > 1 for r in shown.runs)


def _differences(shown: Shown) -> list[Html]:
    rows = shown.record["differences"]
    if not rows:
        return [paragraph("Nothing: the configurations are equal.")]
    order = [[r["name"] for r in shown.record["runs"]].index(run["name"]) for run in shown.runs]
    cells: list[tuple[list[Cell | str], str | None]] = [
        ([Cell(row["field"], head=True), *(_value(row["values"][i]) for i in order)], None) for row in rows
    ]
    names = [run["name"] for run in shown.runs]
    caption = "Only the settings that are not the same in all runs; a dash: the run has no such setting"
    return [table(caption, ["setting", *names], cells, label="Settings that differ", class_="differences")]


def _value(value: Any) -> str:
    return "–" if value is None else amount(value)


def _runs(shown: Shown) -> list[Html]:
    pairs: list[tuple[str, str]] = [
        (r["name"], f"{r['path']}, {r['env_id']}, {_seeds(r)} from {r['first_seed']}, {r['state']}") for r in shown.runs
    ]
    pairs += [(r["path"], f"left out: {r['reason']}") for r in shown.record["refused"]]
    command = shown.record["command"]
    return [definitions(pairs, class_="pairs"), *([el("pre", command, tabindex="0")] if command else [])]

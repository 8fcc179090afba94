"""The gallery: real reports, courses, dosing tables, made by the commands that stand beside them."""

import csv
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pictures import kept, place_picture
from reference import table
from staging import ROOT, Stage

EXTRA = ROOT / "build" / "site-extra"
"""Files that go onto the site as they are."""
PAGE = "gallery.md"


@dataclass(frozen=True)
class Piece:
    """One piece of the gallery.

    Args:
        name: of its folder.
        title: its heading.
        words: what is to be seen.
        commands: run one after the other in a folder that has models/ and examples/.
        pictures: (file, what it shows).
        pages: (file, the words of its link), HTML that opens offline.
        text: Markdown from the folder's files.
    """

    name: str
    title: str
    words: str
    commands: tuple[str, ...]
    pictures: tuple[tuple[str, str], ...] = ()
    pages: tuple[tuple[str, str], ...] = ()
    text: Callable[[Path], str] = lambda _: ""


def _ranking(folder: Path) -> str:
    with (folder / "benchmark-vancomycin" / "benchmark.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = ("attainment_pct.mean", "worst_5_pct", "final_pct", "burden.change_last_third_pct.median")
    head = ("policy", "target attainment, %", "worst 5 %", "last interval", "late change of dose, %")
    name = next(c for c in ("policy", "name") if c in rows[0])
    return table(head, ((f"`{row[name]}`", *(f"{float(row[c]):.1f}" for c in columns)) for row in rows))


def _dosing_table(folder: Path) -> str:
    """The pages of the dosing table, between its heading and the next one."""
    text = (folder / "explained" / "explain.md").read_text(encoding="utf-8")
    _, found, rest = text.partition("\n## The table")
    inside = rest.partition("\n## ")[0] if found else text
    return "\n".join(line for line in inside.splitlines()[1:] if not line.startswith(("![", "#")))


PIECES = (
    Piece(
        "benchmark",
        "A trial: four policies, the same 200 patients",
        "The ranking that the command prints, and the whole report: paired differences, courses of single patients, the "
        "worst of them, changes of dose. It opens offline in any browser.",
        (
            "rl-drug-dosage benchmark --scenario vancomycin --patients 200 --policy label --policy mipd "
            "--policy models/vancomycin.pt --policy '1000 mg q12h'",
        ),
        pages=(("benchmark-vancomycin/report.html", "The report"),),
        text=_ranking,
    ),
    Piece(
        "course",
        "A course: one patient under a learnt policy",
        "Levels, the metric of the goal with its window, and the doses of the first simulated patient of the scenario.",
        ("rl-drug-dosage check models/vancomycin.pt --scenario vancomycin --output-dir course",),
        pictures=(("course/*.png", "One vancomycin patient under the trained policy: levels, AUC24 with its window, doses"),),
    ),
    Piece(
        "bedside",
        "A sheet for one patient",
        "Two doses and levels of a virtual patient, and what follows: the dose that Bayesian dosing recommends, the label's and a "
        "learnt policy's beside it, under one forecast.",
        ("rl-drug-dosage recommend examples/patients/vancomycin.toml --policy models/vancomycin.pt --save patient.html",),
        pages=(("patient.html", "The sheet"),),
    ),
    Piece(
        "explain",
        "A dosing table: how a learnt policy doses",
        "Curves and a table to print, distilled from the trained policy, with its fidelity. A table illustrates a policy; it "
        "does not replace it.",
        ("rl-drug-dosage explain --model-path models/aminoglycoside.pt --patients 250 --output-dir explained",),
        pictures=(
            ("explained/explain_levels.png", "Dose of gentamicin against the latest level: the policy, Bayesian dosing, label"),
            ("explained/explain_inputs.png", "Importance of each input for the policy's dose"),
        ),
        text=_dosing_table,
    ),
    Piece(
        "cohort",
        "A virtual cohort, and the estimates of its patients",
        "200 patients of a published model, and their parameters estimated back from their levels.",
        (
            "rl-drug-dosage simulate --drug vancomycin-goti2018 --patients 200 --dose 1000 --interval 12 --days 3 "
            "--sample-every 6 --output-dir cohort",
            "rl-drug-dosage estimate --drug vancomycin-goti2018 --data cohort/simulation-vancomycin-goti2018.csv "
            "--output-dir estimated",
        ),
        pictures=(
            ("cohort/*.png", "Levels of 200 simulated patients over three days, median and percentiles"),
            ("estimated/*.png", "Predicted against measured levels of the same patients"),
        ),
    ),
    Piece(
        "validation",
        "Is it the right model?",
        "Thirty simulated patients of one model, forecast by two: which one do they follow?",
        (
            "rl-drug-dosage simulate --drug vancomycin-goti2018 --patients 30 --dose 1000 --interval 12 --days 2 "
            "--sample-every 8 --output-dir clinic",
            "rl-drug-dosage validate-model --drug vancomycin-goti2018 --drug vancomycin-buelga2005 "
            "--data clinic/simulation-vancomycin-goti2018.csv --output-dir validated",
        ),
        pages=(("validated/report.html", "The report"),),
    ),
    Piece(
        "first",
        "The teaching task: 200 patients whom training never met",
        "The shipped policy of `DrugDose-v0`, median and 5th to 95th percentile.",
        ("rl-drug-dosage evaluate --model-path models/agent.pt --num-episodes 200 --output-dir first",),
        pictures=(
            ("first/rollout_concentration.png", "Concentration of 200 patients: into the window in two steps, and there they stay"),
            ("first/rollout_dose.png", "Doses of the same patients"),
        ),
    ),
)


def write_gallery(stage: Stage, *, full: bool = True) -> None:
    """Write the page; what it shows is made once for each state of the package."""
    parts = [
        "# Gallery",
        "Made at the build by the commands that stand beside each piece; in a clone they make the same. For research and "
        "education only; every patient here is virtual. The cards of all trained policies are in [models](models/index.md).",
    ]
    shutil.rmtree(EXTRA, ignore_errors=True)
    EXTRA.mkdir(parents=True)
    if not full:
        parts.append("This build has no pieces: it was made with `--no-gallery`.")
    parts += [_piece(stage, piece) for piece in PIECES if full]
    stage.write(PAGE, "\n\n".join(parts) + "\n")


def _piece(stage: Stage, piece: Piece) -> str:
    folder = kept(f"gallery-{piece.name}", lambda into: _run(piece, into))
    block = "```bash\n" + "\n".join(piece.commands) + "\n```"
    parts = [f"## {piece.title}", piece.words, block]
    for file, words in piece.pages:
        there = EXTRA / "gallery" / piece.name / Path(file).name
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, there)
        parts.append(f'<a href="{there.relative_to(EXTRA).as_posix()}">{words} (opens as a page of its own)</a>')
    parts.append(piece.text(folder))
    for pattern, words in piece.pictures:
        for i, file in enumerate(sorted(folder.glob(pattern))):
            own = folder / f"{piece.name}-{file.stem}.png"
            if not own.exists():
                shutil.copyfile(file, own)
            parts.append(place_picture(stage, PAGE, own, words if i == 0 else f"{words} ({file.stem})"))
    return "\n\n".join(part for part in parts if part)


def _run(piece: Piece, folder: Path) -> None:
    for name in ("models", "examples"):
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)
    for command in piece.commands:
        print(f"site: {command}", flush=True)
        program = [sys.executable, "-m", "rl_drug_dosage", *shlex.split(command)[1:]]
        done = subprocess.run(program, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"site: the gallery's command failed: {command}\n{done.stdout}{done.stderr}")
    for name in ("models", "examples"):
        (folder / name).unlink()

"""Benchmark records in their true format, made up: `make_record` builds any shape without running a trial."""

import numpy as np

REASONS = (
    "not a number",
    "off the grid",
    "dose cap",
    "daily cap",
    "step cap",
    "drug on board",
    "predicted level",
)
CARD = {
    "action": {"high": [5000.0], "low": [0.0], "transform": "tanh-gaussian"},
    "env": {"frame_stack": 1, "horizon": 14, "id": "Made-v1", "options": {}, "units": {"dose": "mg"}, "window": None},
    "intended_use": "research and education only; not for treating patients",
    "normalizer": {"clip": 10.0, "epsilon": 1e-08, "observations": True},
    "progress": {"global_step": 3010560, "seed": 1, "update": 210},
    "record_version": 1,
    "training": {"gamma": 0.97, "learning_rate": 0.001, "total_timesteps": 3000000, "env_kwargs": "{}"},
    "training_sha256": "932a5414",
    "versions": {"jax": "0.12.0", "rl-drug-dosage": "0.1.0"},
}
AUC = ("auc24", "concentration", 400.0, 600.0, "mg h/L")
LEVEL = ("trough", "concentration", 10.0, 15.0, "mg/L")
NAMES = ("oracle", "mipd", "agent", "label", "random")
TEST_ONLY = ("drug-three2003",)


def _interval(mean, half):
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _edge(value, decisions):
    """A number, None, or a list of them, one a decision."""
    return list(value) if isinstance(value, list) else [value] * decisions


def _summary(rng, share, harms, failed):
    return {
        "attainment_pct": _interval(share, 1.25),
        "attainment_median_pct": share + 1.0,
        "worst_5_pct": 0.5 * share,
        "final_pct": share + 0.5,
        "under_pct": 0.4 * (100.0 - share),
        "over_pct": 0.6 * (100.0 - share),
        "return": -float(rng.uniform(0.001, 2000.0)),
        "total_dose": float(rng.uniform(1.0, 40000.0)),
        "dose_changes": float(rng.uniform(0.0, 12.0)),
        "burden": {
            name: {"median": 7.25 + share, "mean": 11.5 + share}
            for name in ("change_last_third_pct", "dose_changes", "zigzags", "holds")
        },
        "harms": {
            h: {"patients_pct": float(rng.uniform(0, 100)), "intervals_pct": float(rng.uniform(0, 50))} for h in harms
        },
        "dropouts": int(rng.integers(0, 9)),
        "interventions": dict.fromkeys(REASONS, 0),
        "doubtful_decisions": 0,
        "abstained_decisions": 0,
        "failed_patients": list(failed),
    }


def _bands(rng, count, level):
    """Five percentiles."""
    middle = level * (1.0 + 0.3 * np.sin(np.arange(count) * 1.3) + 0.05 * rng.normal(size=count))
    return [np.round(np.maximum(middle * f, 0.0), 2).tolist() for f in (0.5, 0.8, 1.0, 1.3, 1.9)]


def make_record(
    names=NAMES,
    *,
    decisions=14,
    points=84,
    windows=(AUC,),
    judged=None,
    output=("concentration", "mg/L"),
    time_unit="d",
    interval_h=12.0,
    harms=("AUC24 > 600",),
    shield=False,
    mismatch=(),
    stress=(),
    failed=None,
    reference="mipd",
    patients=400,
    worst=10,
    gap=4.0,
    seed=0,
):
    """A record. ``gap``: points of attainment between one policy and the next; ``failed``: numbers by policy."""
    rng = np.random.default_rng(seed)
    failed = failed or {}
    own = list(names)
    if shield:
        names = [*names, *(f"{n}+shield" for n in own)]
    shares = {n: 97.0 - gap * i for i, n in enumerate(names)}
    reference = reference if reference in names else names[0]
    shown = {"d": 1.0 / 24.0, "h": 1.0, "min": 60.0}[time_unit]
    time = np.round(np.linspace(0.0, decisions * interval_h * shown, points + 1)[1:], 4).tolist()
    starts = np.round(np.arange(decisions) * interval_h * shown, 4).tolist()
    gone = {n: len(failed.get(n, ())) >= patients for n in names}
    rows = [
        {"policy": n, "title": f"what {n} does", "oracle": n.startswith("oracle")}
        | _summary(rng, shares[n], harms, failed.get(n, ()))
        | {
            "tuned": {"candidates": 21, "attainment_pct": 39.0, "amount": 1000.0} if n == "label" else {},
            "card": CARD if n.startswith("agent") else {},
            "rank": i + 1,
        }
        for i, n in enumerate(names)
    ]
    for row in rows:
        if row["policy"].endswith("+shield"):
            row["interventions"]["step cap"] = 12345
    record = {
        "format": 1,
        "intended_use": "research and education only; not for treating patients",
        "scenario": {
            "name": "made-up",
            "env_id": "Made-v1",
            "title": "made-up drug every 12 h, AUC24 400-600 mg h/L",
            "goal": "share of intervals with AUC24 in 400-600 mg h/L (%)",
            "steady": True,
            "steady_text": "nothing changes",
            "reward": "-|AUC24 - 500|/100",
            "label": "25 mg/kg (somebody 2020)",
            "models": ["drug-one2001", "drug-two2002"],
            "test_only": list(TEST_ONLY),
            "decisions": decisions,
            "interval_h": interval_h,
            "time_unit": time_unit,
            "shown_per_h": shown,
            "output": {"name": output[0], "unit": output[1], "meaning": "drug in serum"},
            "dosage": {"unit": "mg", "per": None, "lowest": 0.0, "highest": 5000.0, "source": "this project's choice"},
            "monitoring": {"source": "somebody 2019", "turnaround_h": 1.0, "lloq": 0.5},
            "windows": [
                {
                    "metric": metric,
                    "output": of,
                    "unit": unit,
                    "source": "somebody 2020",
                    "low": _edge(low, decisions),
                    "high": _edge(high, decisions),
                    "aim": [1.0] * decisions,
                }
                for metric, of, low, high, unit in windows
            ],
            "harms": [
                {"name": h, "metric": "auc24", "output": "concentration", "source": "somebody 2020"} for h in harms
            ],
            "judged": list(range(decisions)) if judged is None else list(judged),
            "covariates": [
                {
                    "name": "wt_kg",
                    "unit": "kg",
                    "meaning": "body weight",
                    "low": 40.0,
                    "high": 160.0,
                    "source": "N(90, 25)",
                },
                {"name": "dialysis", "unit": "0/1", "meaning": "", "low": 0.0, "high": 1.0, "source": "nobody"},
            ],
        },
        "settings": {
            "patients": patients,
            "seed": 1,
            "simulator": "drug-one2001",
            "controller": "drug-one2001",
            "shield": shield,
            "reference": reference,
            "command": "rl-drug-dosage benchmark --scenario made-up --patients 400",
        },
        "policies": rows,
        "paired": [
            {
                "policy": a,
                "against": b,
                **_interval(shares[a] - shares[b], 1.5),
                "better_pct": 40.0,
                "worse_pct": 30.0,
            }
            for i, a in enumerate(names)
            for b in names[i + 1 :]
        ],
        "subgroups": [
            {
                "stratum": stratum,
                "level": level,
                "patients": 165,
                "policy": n,
                "attainment_pct": _interval(shares[n], 3.0),
                "difference": _interval(shares[n] - shares[reference], 3.0),
            }
            for stratum, level in (("weight", "< 70 kg"), ("weight", ">= 70 kg"), ("renal function", "60 to 90 mL/min"))
            for n in names
        ],
        "courses": {
            n: {
                "percentiles": [5, 25, 50, 75, 95],
                "time": [],
                "values": [],
                "decision_time": [],
                "metrics": [],
                "dose": [],
            }
            if gone[n]
            else {
                "percentiles": [5.0, 25.0, 50.0, 75.0, 95.0],
                "time": time,
                "values": _bands(rng, points, 12.0 * (1 + i % 5)),
                "decision_time": starts,
                "metrics": [_bands(rng, decisions, 450.0 if w[0].startswith("auc") else 12.0) for w in windows],
                "dose": _bands(rng, decisions, 900.0),
                "inside_pct": np.round(rng.uniform(0, 100, decisions), 1).tolist(),
            }
            for i, n in enumerate(names)
        },
        "worst": [
            {
                "patient": 7 * (p + 1),
                "covariates": {"dialysis": 0.0, "wt_kg": 75.97},
                "time": time,
                "courses": {
                    n: {
                        "attainment_pct": 8.33,
                        "values": [None if (p, n) == (0, "random") else v for v in _bands(rng, points, 20.0)[2]],
                        "dose": _bands(rng, decisions, 900.0)[2],
                        "reasons": {2: "step cap"} if n.endswith("+shield") else {},
                        "failed": (p, n) == (0, "random"),
                    }
                    for n in names
                },
            }
            for p in range(worst)
        ],
        "distributions": {n: rng.integers(0, 40, 20).tolist() for n in names},
        "timing": {
            "policies": {
                n: {
                    "tune_and_compile_s": 9.25,
                    "trace_s": 4.5,
                    "compile_s": 4.0,
                    "traced_before": False,
                    "run_s": 0.073,
                }
                for n in own
            },
            "statistics_s": 1.5,
            "total_s": 158.04,
        },
    }
    if mismatch:
        record["mismatch"] = {
            "models": list(mismatch),
            "test_only": list(TEST_ONLY),
            "cells": [
                {
                    "simulator": s,
                    "controller": c,
                    "policy": n,
                    "attainment_pct": _interval(float(np.round(rng.uniform(2.0, 98.0), 2)), 1.5),
                }
                for s in (*mismatch, *TEST_ONLY)
                for c in mismatch
                for n in own
            ],
        }
    if stress:
        record["stress"] = [
            {
                "name": s,
                "title": f"what {s} means",
                "policies": [{"policy": n, **_summary(rng, 0.8 * shares[n], harms, ())} for n in own],
            }
            for s in stress
        ]
    return record


def everything():
    """A record with all that there can be: a shield, mismatch, stress, two windows, one on the output, failures."""
    steps = [10.0] * 7 + [8.0] * 7
    return make_record(
        windows=(AUC, ("trough", "concentration", steps, None, "mg/L")),
        judged=range(2, 14),
        shield=True,
        mismatch=("drug-one2001", "drug-two2002"),
        stress=("double-error", "renal-impairment"),
        harms=("AUC24 > 600", "concentration < 5"),
        failed={"random": range(30), "label": (3,)},
        gap=8.0,
    )


def large():
    """Twelve policies and long courses, on the minutes of an anaesthesia."""
    names = ("mipd", "oracle", *(f"policy-{i}" for i in range(10)))
    return make_record(
        names,
        decisions=180,
        points=400,
        windows=(("trough", "bis", 40.0, 60.0, "1"),),
        output=("bis", "1"),
        time_unit="min",
        interval_h=1.0 / 120.0,
        stress=("double-error",),
        gap=3.0,
    )

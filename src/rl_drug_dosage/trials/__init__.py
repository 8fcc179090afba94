"""In-silico trials: tune policies and compare them on the same virtual patients; dosing of single patients."""

from rl_drug_dosage.utils.lazy import lazily

__all__ = [
    "Bedside",
    "Benchmark",
    "BenchmarkOptions",
    "Cohort",
    "Course",
    "DoseForecast",
    "Entrant",
    "Trial",
    "bootstrap",
    "default_policies",
    "endpoints",
    "enter",
    "load_policy",
    "merge",
    "paired",
    "prepare_trial",
    "run_trial",
    "setting_for",
    "tuned",
    "write_benchmark",
]

__getattr__ = lazily(
    __name__,
    {
        "Bedside": "bedside",
        "Course": "bedside",
        "DoseForecast": "dose_forecast",
        "load_policy": "bedside",
        "Benchmark": "benchmark",
        "BenchmarkOptions": "benchmark",
        "Entrant": "entrants",
        "default_policies": "entrants",
        "enter": "entrants",
        "setting_for": "setting",
        "write_benchmark": "benchmark_files",
        "bootstrap": "statistics",
        "endpoints": "statistics",
        "paired": "statistics",
        "Cohort": "trial",
        "Trial": "trial",
        "merge": "trial",
        "prepare_trial": "trial",
        "run_trial": "trial",
        "tuned": "tuning",
    },
)

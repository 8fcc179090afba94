"""Public contract checks for drugs, scenarios and policies, built in or your own.

`check_drug`, `check_scenario` and `check_policy` return a `Report` of named findings. The test suite calls the same
functions on all built-in content; ``rl-drug-dosage check`` calls them on a user's file. Findings do not raise an
error; `Report.raise_if_any` does.
"""

from rl_drug_dosage.utils.lazy import lazily

__all__ = ["Finding", "Level", "Passed", "Report", "check_drug", "check_policy", "check_scenario"]

__getattr__ = lazily(
    __name__,
    {
        "check_drug": "drug",
        "check_policy": "policy",
        "Finding": "report",
        "Level": "report",
        "Passed": "report",
        "Report": "report",
        "check_scenario": "scenario",
    },
)

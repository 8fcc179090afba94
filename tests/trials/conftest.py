"""Small scenarios to test with: the vancomycin task, cut to four decisions, and what differs from it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.scenarios.vancomycin_v1 import SCENARIO


@pytest.fixture(scope="session")
def ward() -> Scenario:
    """Vancomycin, four doses, levels in the first and third interval."""
    return dataclasses.replace(
        SCENARIO,
        schedule=dataclasses.replace(SCENARIO.schedule, decisions=4),
        monitoring=dataclasses.replace(SCENARIO.monitoring, intervals=(0, 2)),
    )


@pytest.fixture(scope="session")
def changed(ward: Scenario) -> Callable[..., Scenario]:
    """The ward with other doses, schedule, monitoring or limits."""

    def make(**parts: dict[str, Any]) -> Scenario:
        fields: dict[str, Any] = {n: dataclasses.replace(getattr(ward, n), **c) for n, c in parts.items()}
        return dataclasses.replace(ward, **fields)

    return make

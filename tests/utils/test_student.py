"""Student's t agrees with SciPy's, in the tails as well."""

import pytest
from scipy import special

from rl_drug_dosage.utils.student import student_p, student_quantile


@pytest.mark.parametrize("df", [1.0, 2.5, 4.0, 30.0, 999.0, 4999.5])
def test_probabilities_and_quantiles_are_scipys(df):
    for t in (0.0, 1e-3, 0.5, 2.0, 10.0, 40.0):
        assert student_p(t, df) == pytest.approx(2.0 * special.stdtr(df, -t), rel=1e-9)
        assert student_p(-t, df) == student_p(t, df)
    for level in (0.5, 0.95, 0.999):
        assert student_quantile(df, level) == pytest.approx(special.stdtrit(df, 0.5 + 0.5 * level), rel=1e-9)


def test_an_infinite_t_has_no_probability():
    assert student_p(float("inf"), 4.0) == 0.0

"""Fat-free mass, and body sizes of virtual children and adults, shared by several drug files.

Janmahasatian S et al. Quantification of lean bodyweight. Clin Pharmacokinet 2005;44:1051-1065; the maturation of
Al-Sallami HS et al. Prediction of fat-free mass in children. Clin Pharmacokinet 2015;54:1169-1178. Constants as read in
the drug files of sotalya/tucuxi-drugs (tobramycin) and InsightRX/PKPDsim (pk_busulfan_shukla.json5).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = [
    "fat_free_mass_kg",
    "growth_height_cm",
    "growth_weight_kg",
    "maturing_fat_free_mass_kg",
]

type Number = Float[Array, ""]


def fat_free_mass_kg(wt_kg: Number, height_cm: Number, female: Number) -> Number:
    """9270 WT / (6680 + 216 BMI) in men, 9270 WT / (8780 + 244 BMI) in women, kg.

    The form 42.92 HT^2 WT / (30.93 HT^2 + WT) (women 37.99, 35.98; HT in m) is the same with rounded constants.
    """
    bmi = wt_kg / (height_cm / 100.0) ** 2
    return jnp.where(female > 0.5, 9270.0 * wt_kg / (8780.0 + 244.0 * bmi), 9270.0 * wt_kg / (6680.0 + 216.0 * bmi))


def maturing_fat_free_mass_kg(age_y: Number, wt_kg: Number, height_cm: Number, female: Number) -> Number:
    """Adult fat-free mass times a fraction that increases with age, kg.

    Boys 0.88 + 0.12 / (1 + (AGE/13.4)^-12.7), girls 1.11 - 0.11 / (1 + (AGE/7.1)^-1.1).
    """
    boys = 0.88 + 0.12 / (1.0 + (age_y / 13.4) ** -12.7)
    girls = 1.11 - 0.11 / (1.0 + (age_y / 7.1) ** -1.1)
    return jnp.where(female > 0.5, girls, boys) * fat_free_mass_kg(wt_kg, height_cm, female)


# Medians of the 2000 CDC growth charts, wtageinf, lenageinf, wtage and statage (Kuczmarski RJ et al. Vital Health Stat
# 11(246), 2002; https://www.cdc.gov/growthcharts/percentile_data_files.htm), interpolated to whole years and rounded to
# 0.1. Below 2 years the height is the length. They stand for the centre of virtual cohorts only.
_AGE_Y = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0)
_BOYS_KG = (3.5, 6.0, 7.9, 10.3, 11.7, 12.7, 16.2, 20.7, 25.6, 31.9, 40.5, 51.0, 60.9, 67.2, 70.6)
_GIRLS_KG = (3.4, 5.5, 7.2, 9.5, 11.0, 12.1, 15.8, 20.2, 25.6, 32.9, 41.6, 49.4, 53.9, 56.2, 58.2)
_BOYS_CM = (50.0, 60.8, 67.0, 75.5, 81.9, 86.5, 102.2, 115.4, 127.9, 138.6, 149.1, 163.8, 173.5, 176.2, 176.8)
_GIRLS_CM = (49.3, 59.3, 65.3, 73.8, 80.3, 85.0, 100.8, 114.7, 127.6, 138.0, 151.2, 160.4, 162.5, 163.1, 163.3)


def growth_weight_kg(age_y: Number, female: Number) -> Number:
    """The median weight for age and sex, constant from 20 years on, kg."""
    return _median(age_y, female, _BOYS_KG, _GIRLS_KG)


def growth_height_cm(age_y: Number, female: Number) -> Number:
    """The median height for age and sex, constant from 20 years on, cm."""
    return _median(age_y, female, _BOYS_CM, _GIRLS_CM)


def _median(age_y: Number, female: Number, boys: tuple[float, ...], girls: tuple[float, ...]) -> Number:
    at, column = jnp.asarray(_AGE_Y), jnp.where(female > 0.5, jnp.asarray(girls), jnp.asarray(boys))
    return jnp.interp(age_y, at, column)

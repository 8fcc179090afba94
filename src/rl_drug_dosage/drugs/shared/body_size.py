"""Fat-free mass, and body sizes of virtual children, shared by several drug files.

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


# Rounded values that resemble a growth chart. This project's choice for virtual cohorts, not part of a published model.
_AGE_Y = (0.0, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0)
_WEIGHT_KG = (3.5, 7.5, 10.0, 12.5, 16.0, 20.5, 25.5, 32.0, 41.0, 50.0, 60.0, 70.0)
_HEIGHT_CM = (50.0, 66.0, 75.0, 87.0, 102.0, 115.0, 128.0, 138.0, 150.0, 161.0, 168.0, 172.0)


def growth_weight_kg(age_y: Number) -> Number:
    """An average weight for age, constant from 18 years on."""
    return jnp.interp(age_y, jnp.asarray(_AGE_Y), jnp.asarray(_WEIGHT_KG))


def growth_height_cm(age_y: Number) -> Number:
    """An average height for age, constant from 18 years on."""
    return jnp.interp(age_y, jnp.asarray(_AGE_Y), jnp.asarray(_HEIGHT_CM))

"""Try control streams of other people: read each, and simulate its typical patient.

scripts/try_nonmem.py FOLDER [--read-only] [--only PART_OF_A_NAME]

Every .mod and .ctl below the folder is read once; files that differ in comments and blanks alone count as one. What a
file does not say is taken as h, mg and mg/L, and as 70 for each covariate: the numbers mean nothing, that they are
finite means that the model was understood. The last lines count the reasons of those that were refused. Predictions are
compared with a run's own table by `rl-drug-dosage check FILE --against TABLE`.
"""

import argparse
import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.pharmacometrics.readers.bridge.model import drug_model
from rl_drug_dosage.pharmacometrics.readers.nonmem.reader import read
from rl_drug_dosage.pharmacometrics.readers.sidecar import CovariateWords, OutputWords, Sidecar, Units
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel
from rl_drug_dosage.pkpd import Dose, DrugModel, make_covariates, make_regimen, predict

TIMES_H = jnp.array([0.5, 2.0, 6.0, 11.0, 13.0, 24.0])
TYPICAL = 70.0


def streams(folder: Path) -> Iterator[Path]:
    """The control streams below a folder, each text once."""
    seen: set[bytes] = set()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in {".mod", ".ctl"} or not path.is_file():
            continue
        text = path.read_bytes().upper()
        key = hashlib.sha256(re.sub(rb";.*|\s+", b"", text)).digest()
        if re.search(rb"\$PROB|\$PK|\$PRED", text) and key not in seen:
            seen.add(key)
            yield path


def sidecar(written: WrittenModel, units: dict[str, str], values: dict[str, float]) -> Sidecar:
    """What the file does not say, made up."""
    covariates = {
        c.name: CovariateWords(unit=units.get(c.name, "1"), typical=values.get(c.name, TYPICAL), column=f"C_{c.name}")
        for c in written.covariates
    }
    outputs = {o.name: OutputWords(unit="mg/L", residual="typical") for o in written.outputs}
    return Sidecar(units=Units("h", "mg", "mg/L"), covariates=covariates, outputs=outputs)


def model_of(written: WrittenModel) -> DrugModel:
    """The drug model, with units and values that are possible for covariates of well-known names."""
    units: dict[str, str] = {}
    values: dict[str, float] = {}
    for _ in range(2 * len(written.covariates)):
        try:
            return drug_model(written, sidecar(written, units, values))
        except RlDrugDosageError as error:
            unit = re.search(r"unit of covariate '(\w+)'.*?allowed: (\S+?)[,;]? ", str(error))
            value = re.search(
                r"covariate '(\w+)' is [-\d.e+]+ .*?(?:possible is|from) ([-\d.e+]+) to ([-\d.e+]+)", str(error)
            )
            if unit:
                units[unit[1]] = unit[2]
            elif value:
                values[value[1]] = (float(value[2]) + min(float(value[3]), 2 * TYPICAL)) / 2
            else:
                raise
    return drug_model(written, sidecar(written, units, values))


def simulated(model: DrugModel, written: WrittenModel) -> np.ndarray:
    """Two doses into the first dosed compartment, 12 h apart; the typical patient."""
    index = written.compartments.index(written.dosed[0]) if written.dosed else 0
    into = model.structure.compartments[index]
    regimen = make_regimen([Dose(0.0, 100.0, into), Dose(12.0, 100.0, into)], model.structure)
    table = make_covariates(model, {c.name: c.typical for c in model.covariates})
    kappa = jnp.zeros((1, len(model.occasion_etas))) if model.occasion_etas else None
    eta = jnp.zeros(len(model.etas))
    return np.asarray(jax.jit(lambda e: predict(model, regimen, table, TIMES_H, e, kappa))(eta))


def reason(error: Exception, path: Path) -> str:
    """A message without its place."""
    text = str(error).replace(str(path), "").partition("; supported")[0]
    return re.sub(r"^:\d+:\d+: ", "", " ".join(text.split()))[:110]


def main() -> None:
    """Go through the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--read-only", action="store_true", help="do not simulate")
    parser.add_argument("--only", default="", help="part of the path")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    jax.config.update("jax_enable_x64", True)
    count: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for path in streams(given.folder):
        if given.only not in str(path):
            continue
        count["tried"] += 1
        try:
            written = read(path)
            count["read"] += 1
            if not given.read_only:
                values = simulated(model_of(written), written)
                count["simulated"] += int(np.isfinite(values).all())
        except RlDrugDosageError as error:
            print(f"{path}: {reason(error, path)}")
            reasons[reason(error, path)[:50]] += 1
    print(dict(count))
    for text, number in reasons.most_common(30):
        print(f"{number:5d}  {text}")


if __name__ == "__main__":
    main()

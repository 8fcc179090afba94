"""Event tables that somebody's spreadsheet, script or malice could have made. Everything follows from a seed."""

# ruff: noqa: E501 - tables of values
import random

HEADERS = (
    "ID",
    "TIME",
    "AMT",
    "RATE",
    "DUR",
    "II",
    "ADDL",
    "SS",
    "CMT",
    "EVID",
    "DV",
    "MDV",
    "CENS",
    "LLOQ",
    "DVID",
    "OCC",
)
STRANGE = (
    "DATE",
    "DAT1",
    "CONC",
    "OUTPUT",
    "WEIGHT",
    "",
    " ",
    "id",
    "Id ",
    "#ID",
    "ID\x00",
    "=ID",
    "TIME.1",
    "AMT",
    "C",
    "Größe",
)
CELLS = (
    "", ".", "NA", "NaN", "nan", "inf", "-inf", "-99", "-999", "0", "-0", "1", "2", "4", "7", "-1", "-2", "0.5", "1e5", "1e30",
    "1e308", "1e309", "-1e308", "5e-324", "1e-400", "1,5", "1.5.2", "0x10", "1_000", "١٢", "½", "12:30", "24:60", "2024-01-31",
    "01/02/2024", "<0.5", "<", "<<1", "<-1", "<nan", ">60", "BLQ", "C", "c", "#", "#1", "=1+1", "=cmd|' /C calc'!A0", "+1",
    "@SUM(A1)", "$HOME", "<script>", "%s", "{}", "\x1b[31m", "\u202e1", "\x00", "\ufeff1", "a" * 5000, "9" * 400,
    "central", "depot", "concentration", "True", "None", "1.0", "01", "1e0", "'1", '"', '""', "a;b", "\\", "1 ", " 1",
)  # fmt: skip
SEPARATORS = (",", ",", ",", ",", ";", "\t", " ", ", ", "|", ",,")
ENDS = ("\n", "\n", "\n", "\r\n", "\r", "\n\n", "\x0b", "\u2028")


def _valid(rng: random.Random, covariates: list[tuple[str, float]]) -> list[list[str]]:
    """A table as it should be: a few patients, doses and levels in order."""
    columns = ["ID", "TIME", "AMT", "RATE", "EVID", "DV", "MDV", *(name for name, _ in covariates)]
    optional = rng.sample(["DUR", "CMT", "CENS", "LLOQ", "DVID", "OCC"], rng.randrange(4))
    optional += ["II", "ADDL", "SS"] if rng.random() < 0.2 else []
    if "DUR" in optional:
        columns.remove("RATE")
    rows = [columns + optional]
    for patient in range(1, rng.randrange(2, 5)):
        time, again = 0.0, rng.randrange(3)
        own = {name: f"{value:.3g}" for name, value in covariates}
        for event in range(rng.randrange(1, 6)):
            dose = event == 0 or rng.random() < 0.4
            cells = {
                "ID": str(patient), "TIME": f"{time:g}", "AMT": "1000" if dose else "0", "EVID": "1" if dose else "0",
                "RATE": rng.choice(["0", "500"]) if dose else "0", "DV": "." if dose else f"{rng.uniform(1, 40):.2f}",
                "MDV": "1" if dose else "0", "DUR": "1" if dose else "", "II": "12" if dose and again else "", "CMT": "1",
                "ADDL": str(again) if dose else "", "SS": "",
                "CENS": "0", "LLOQ": "0.5", "DVID": "" if dose else "1", "OCC": str(1 + event // 2),
            }  # fmt: skip
            rows.append([{**cells, **own}.get(c, "") for c in rows[0]])
            time += rng.choice([0.5, 1.0, 6.0, 12.0]) if rng.random() < 0.95 else 0.0
    return rows


def _shuffled(rng: random.Random, rows: list[list[str]]) -> None:
    """One structural fault."""
    i = rng.randrange(len(rows))
    match rng.randrange(8):
        case 0:
            rows.insert(i, list(rows[rng.randrange(len(rows))]))
        case 1 if len(rows) > 1:
            del rows[i]
        case 2:
            rows[i] = rows[i][: rng.randrange(len(rows[i]) + 1)]
        case 3:
            rows[i] = [*rows[i], rng.choice(CELLS)]
        case 4:
            rng.shuffle(rows)
        case 5:
            column = rng.randrange(max(1, len(rows[0])))
            for row in rows:
                del row[column : column + 1]
        case 6 if rows[0]:
            rows[0][rng.randrange(len(rows[0]))] = rng.choice([*HEADERS, *STRANGE])
        case _:
            for row in rows:
                row.append(rng.choice(CELLS))
            rows[0][-1] = rng.choice([*HEADERS, *STRANGE])


def _text(rng: random.Random, rows: list[list[str]]) -> str:
    separator, end = rng.choice(SEPARATORS), rng.choice(ENDS)
    quoted = rng.random() < 0.1
    lines = [separator.join(f'"{cell}"' if quoted else cell for cell in row) for row in rows]
    if rng.random() < 0.05:
        lines.insert(
            rng.randrange(len(lines) + 1), rng.choice(["# comment", "C comment", "TABLE NO. 1", '"', "", ",,,", "\x00"])
        )
    return rng.choice(["", "", "", "\ufeff", "\n", "sep=,\n"]) + end.join(lines) + rng.choice(["", end])


def table(rng: random.Random, covariates: list[tuple[str, float]]) -> bytes:
    """A table with up to five faults: cells, columns, lines, separators, or bytes.

    Args:
        rng: of the attack.
        covariates: column and a usual value of what the drug needs.
    """
    rows = _valid(rng, covariates)
    for _ in range(rng.choice([0, 1, 1, 1, 1, 2, 4])):
        if rng.random() < 0.3:
            _shuffled(rng, rows)
        row = rng.choice(rows[1:] or rows)
        if row and rng.random() < 0.8:
            row[rng.randrange(len(row))] = rng.choice(CELLS)
    data = bytearray(_text(rng, rows).encode("utf-8", "surrogatepass"))
    kind = rng.random()
    if kind < 0.05 and data:
        for _ in range(rng.randrange(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind < 0.06:
        return bytes(rng.randbytes(rng.randrange(200)))
    elif kind < 0.07:
        return bytes(data).decode("utf-8", "replace").encode(rng.choice(["utf-16", "utf-32", "cp1252"]), "replace")
    return bytes(data)

"""Write docs/drugs/: one page a drug model, and their index. `make docs` runs it."""

from pathlib import Path

from rl_drug_dosage.evaluation.drug_page import drug_page, index_markdown, markdown
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.plugins import load, names
from rl_drug_dosage.utils.runtime import configure

DRUGS = "rl_drug_dosage.drugs"
FOLDER = Path(__file__).resolve().parents[1] / "docs" / "drugs"


def pages() -> dict[str, str]:
    """The text of every file by its name."""
    models = [load(DRUGS, name, attribute="DRUG", kind=DrugModel) for name in names(DRUGS)]
    return {f"{m.name}.md": markdown(drug_page(m)) for m in models} | {"index.md": index_markdown(models)}


def main() -> None:
    """Write what differs, and remove the pages of drugs that are gone."""
    configure("cpu")
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for stale in {path.name for path in FOLDER.glob("*.md")} - set(wanted):
        (FOLDER / stale).unlink()
        print(f"removed {stale}")
    for name, text in wanted.items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")


if __name__ == "__main__":
    main()

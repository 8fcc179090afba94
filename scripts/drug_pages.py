"""Write docs/drugs/: one page per drug model, and an index. `make docs` runs it."""

from pathlib import Path

from rl_drug_dosage.pharmacometrics.drug_page import drug_page, index_markdown, markdown
from rl_drug_dosage.registry import DRUG, load_drug, names
from rl_drug_dosage.utils.runtime import configure

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "drugs"


def pages() -> dict[str, str]:
    """The text of every page by file name."""
    models = [load_drug(name) for name in names(DRUG)]
    return {f"{m.name}.md": markdown(drug_page(m)) for m in models} | {"index.md": index_markdown(models)}


def main() -> None:
    """Write the pages that have changed, and remove pages of drugs that no longer exist."""
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

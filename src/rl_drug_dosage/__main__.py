"""``python -m rl_drug_dosage``."""

from rl_drug_dosage.cli import main

if __name__ == "__main__":
    main()

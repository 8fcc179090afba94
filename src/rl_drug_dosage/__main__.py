"""The program ``rl-drug-dosage``, also as ``python -m rl_drug_dosage``: the command line in a process of its own."""

import gc

_BETWEEN_COLLECTIONS = 1_000_000
"""Objects that are made before Python looks for garbage. With its own 700, loading and tracing, which make hundreds of
thousands that stay, spent 0.3 of the 3 s of a `recommend` on that."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
    from rl_drug_dosage import cli

    try:
        cli.main()
    finally:
        # Python's last search for garbage, which the end of the process frees anyway, took 0.4 s of a `recommend`.
        gc.freeze()


if __name__ == "__main__":
    main()

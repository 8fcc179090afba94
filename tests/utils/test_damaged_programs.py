"""Entries of JAX's cache that cannot be read are removed and made again."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

from rl_drug_dosage.utils.damaged_programs import remove_damaged

PROGRAM = """
import warnings
import jax
from rl_drug_dosage.utils.runtime import cache_folder, configure

configure()
double = jax.jit(lambda x: 2.0 * x)
entry = lambda: next(p for p in cache_folder().glob("jit__lambda*-cache"))
assert float(double(3.0)) == 6.0
whole = entry().stat().st_size
entry().write_bytes(entry().read_bytes()[:50])
jax.clear_caches()
assert float(double(3.0)) == 6.0
assert entry().stat().st_size > 0.9 * whole, "it was not written again"
warnings.warn("another warning")
"""


def test_a_truncated_entry_is_made_again_without_a_word(tmp_path: Path) -> None:
    """Other warnings are shown as before."""
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "another warning" in done.stderr
    assert "persistent" not in done.stderr


def test_only_damaged_entries_of_that_name_are_removed(tmp_path: Path) -> None:
    for name, raw in {
        "jit_f-aa-cache": zlib.compress(b"program"),
        "jit_f-bb-cache": zlib.compress(b"program")[:-3],
        "jit_f-cc-cache": b"\x28\xb5\x2f\xfd is no program",
        "jit_f_g-dd-cache": b"garbage",
        "jit_f-bb-atime": b"",
    }.items():
        (tmp_path / name).write_bytes(raw)
    assert remove_damaged(tmp_path, "jit_f") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jit_f-aa-cache", "jit_f-bb-atime", "jit_f_g-dd-cache"]


def test_where_each_can_be_decompressed_all_of_that_name_are_removed(tmp_path: Path) -> None:
    """What is in them cannot be told."""
    for name in ("jit_f-aa-cache", "jit_f-bb-cache", "jit_g-cc-cache"):
        (tmp_path / name).write_bytes(zlib.compress(b"no program"))
    assert remove_damaged(tmp_path, "jit_f") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["jit_g-cc-cache"]

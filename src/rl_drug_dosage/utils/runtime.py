"""Set up JAX once, before its first use: the device, and the cache of compiled programs."""

import os
from pathlib import Path

from rl_drug_dosage.errors import ConfigError, DeviceError
from rl_drug_dosage.utils.damaged_programs import mend_when_warned

__all__ = ["DEVICES", "cache_folder", "configure", "keep_programs", "traced_folder"]

DEVICES = ("cpu", "cuda")


def cache_folder() -> Path:
    """The folder of compiled programs: ``JAX_COMPILATION_CACHE_DIR``, or else the user's cache folder (XDG)."""
    if given := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rl-drug-dosage" / "jax"


def traced_folder() -> Path:
    """The folder of traced programs, see `utils.kept_programs`."""
    return cache_folder() / "traced"


def keep_programs() -> None:
    """Keep compiled programs between processes, in `cache_folder`."""
    # XLA's loader reports harmless differences of CPU features on stderr when it reads a cached program.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax

    jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    mend_when_warned(cache_folder)


def configure(device: str = "cpu") -> None:
    """Choose the device and turn on the persistent compilation cache.

    Args:
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        ConfigError: any other device.
        DeviceError: CUDA was requested, but JAX finds none.
    """
    if device not in DEVICES:
        raise ConfigError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
    keep_programs()
    import jax

    jax.config.update("jax_platforms", "cpu" if device == "cpu" else "cuda,cpu")
    if device == "cuda":
        try:
            jax.devices("cuda")
        except RuntimeError:
            raise DeviceError(
                "device cuda was requested, but JAX finds no CUDA device: "
                "install the 'cuda' extra on a machine with an NVIDIA GPU, or use --device cpu"
            ) from None

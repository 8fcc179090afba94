"""What the server is told at its start, and what it never exceeds."""

import ipaddress
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from rl_drug_dosage.errors import ConfigError

__all__ = ["LARGEST_BODY", "Limits", "Settings", "is_loopback"]

LARGEST_BODY = 2**20
"""Bytes of a request: 1 MiB. A patient with 2,000 doses has about 200 KiB."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,128}")
_TOKEN_BYTES = 24


@dataclass(frozen=True)
class Limits:
    """Sizes and times of requests.

    Args:
        body_bytes: of a request.
        drained_bytes: of a larger request that are read and thrown away, so that its sender hears the refusal.
        body_s: for a request to arrive.
        answer_s: for an answer, the time in the queue included: programs may have to be compiled.
        waiting: requests that may wait for the processor.
    """

    body_bytes: int = LARGEST_BODY
    drained_bytes: int = 32 * 2**20
    body_s: float = 10.0
    answer_s: float = 300.0
    waiting: int = 512


@dataclass(frozen=True)
class Settings:
    """What the server is told at its start.

    Args:
        host: to bind; one of this machine's own names unless `understood`.
        port: 0: any free one.
        token: part of every address; None: a new random one.
        understood: the user knows what it means to bind another host.
        models: folder of model files, each called after its scenario; None: no learnt policies.
        output_dir: folder for the reports of trials; None: nothing is ever written.
        warm: drugs whose programs are prepared at the start, others when they are chosen; empty: none ever.
        limits: of requests.

    Raises:
        ConfigError: a host that others can reach, without `understood`; a port or a token that is none.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES), repr=False)
    understood: bool = False
    models: Path | None = None
    output_dir: Path | None = None
    warm: tuple[str, ...] = ("vancomycin",)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.understood:
            raise ConfigError(
                f"--host {self.host!r} can be reached by other machines, and the page has neither passwords nor "
                "encryption; allowed: 127.0.0.1, ::1, localhost; leave it out, or add --i-understand"
            )
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port is {self.port}; allowed: 0 (any free one) to 65535; choose another")
        if not _TOKEN.fullmatch(self.token):
            raise ConfigError("the token has to be 22 to 128 letters, digits, - or _; leave it out for a random one")
        if self.models is not None and not self.models.is_dir():
            raise ConfigError(f"--models {str(self.models)!r} is no folder; name the folder of the model files")

    def names(self, port: int) -> frozenset[str] | None:
        """What a Host header may say; None: whatever is an address and no name, where all interfaces are bound."""
        if is_loopback(self.host):
            return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))
        if self.host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
            return None
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return frozenset({f"{shown.casefold()}:{port}"})


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Runs the server until it is interrupted."""

import contextlib
import socket
from collections.abc import Callable

import uvicorn

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.web.app import make_app
from rl_drug_dosage.web.settings import Settings

__all__ = ["prepared", "serve"]

_HEADERS_BYTES = 16 * 1024
_IDLE_S = 15
_BACKLOG = 512
_GRACE_S = 1
"""After Ctrl-C, for requests that are nearly done: a program that is being compiled may take a minute."""


def serve(settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve the page; returns after Ctrl-C.

    Args:
        settings: see there.
        tell: receives the address, once requests are heard.

    Raises:
        ConfigError: the host or the port cannot be bound.
    """
    server, own, address = prepared(settings)
    with contextlib.closing(own):
        tell(address)
        # Ctrl-C is how the server ends: uvicorn hands it on once all is closed.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[own])


def prepared(settings: Settings) -> tuple[uvicorn.Server, socket.socket, str]:
    """A server that is not yet running, the socket that it listens on, and its address with the token.

    Raises:
        ConfigError: the host or the port cannot be bound.
    """
    own = _bound(settings)
    port = int(own.getsockname()[1])
    config = uvicorn.Config(
        make_app(settings, port),
        access_log=False,
        # Of requests that are still computed after Ctrl-C uvicorn would say that it drops them.
        log_level="critical",
        timeout_graceful_shutdown=_GRACE_S,
        lifespan="off",
        ws="none",
        http="h11",
        loop="asyncio",
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=_HEADERS_BYTES,
        timeout_keep_alive=_IDLE_S,
        backlog=_BACKLOG,
    )
    own.listen(_BACKLOG)
    # "Every address" is none that a browser can open.
    own_machine = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - the user's choice, confirmed with --i-understand
    host = own_machine.get(settings.host, settings.host)
    shown = f"[{host}]" if ":" in host else host
    return uvicorn.Server(config), own, f"http://{shown}:{port}/{settings.token}/"


def _bound(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    own = socket.socket(family)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind((settings.host, settings.port))
    except OSError as error:
        own.close()
        raise ConfigError(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}; choose another port, "
            "or --port 0 for any free one"
        ) from error
    return own

"""What stands before every request: token, Host and Origin, sizes and times, and the headers of every answer.

A page of another site can make this machine's browser send requests here. It does not know the token, which is part of
every address; its requests carry its own Origin; and a name that it lets point to this machine (DNS rebinding) stands
in the Host header. Each of the three is refused by itself.
"""

import asyncio
import ipaddress
import json
import secrets
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from rl_drug_dosage.utils.printable import excerpt, printable
from rl_drug_dosage.web.settings import Limits

__all__ = ["HEADERS", "Guard", "one_line"]

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type App = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""Of every answer, unless the answer has its own."""


class _RefusedError(Exception):
    """A request that is not handed on."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def one_line(text: str, most: int = 2000) -> str:
    """A message in one line of bounded length."""
    return printable(excerpt(" ".join(text.split()), most))


class Guard:
    """Hands on what may pass, with the token taken out of the path; answers anything else in one line.

    Args:
        app: what it protects.
        token: first part of every path.
        names: allowed Host headers; None: any address that is no name.
        limits: of requests.
    """

    def __init__(self, app: App, token: str, names: frozenset[str] | None, limits: Limits) -> None:
        self._app, self._token, self._names, self._limits = app, token, names, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                own = {name.lower() for name, _ in message["headers"]}
                extra = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in own]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        try:
            inner = self._admitted(scope)
            body = await self._body(scope, receive)
            await self._app(inner, _replayed(body, receive), sent)
        except _RefusedError as refused:
            await _answer(sent, refused.status, str(refused))
        except Exception as error:  # noqa: BLE001 - nothing of a patient may reach a log, and nothing a traceback
            _report(error)
            if not started:
                await _answer(sent, 500, f"internal error ({type(error).__name__}); please report it")

    def _admitted(self, scope: Scope) -> Scope:
        """The scope without the token.

        Raises:
            _RefusedError: a Host, an Origin or a token that is not this server's.
        """
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            raise _RefusedError(421, "another Host than this server's; open the address that the program printed")
        for origin in headers.get("origin", []):
            if origin != f"http://{hosts[0]}":
                raise _RefusedError(403, "a request from another site is refused")
        if any(site not in {"same-origin", "none"} for site in headers.get("sec-fetch-site", [])):
            raise _RefusedError(403, "a request from another site is refused")
        first, _, rest = scope["path"].removeprefix("/").partition("/")
        if not secrets.compare_digest(first.encode("utf-8", "surrogateescape"), self._token.encode()):
            raise _RefusedError(404, "not found; open the address that the program printed, with its token")
        return {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode("utf-8", "replace"), "root_path": ""}

    def _is_own(self, host: str) -> bool:
        if self._names is not None:
            return host.casefold() in self._names
        plain = host.rpartition(":")[0] if not host.endswith("]") else host
        try:
            ipaddress.ip_address(plain.strip("[]"))
        except ValueError:
            return False
        return True

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            _RefusedError: too large, too slow, or broken off.
        """
        try:
            return await asyncio.wait_for(self._read(receive), self._limits.body_s)
        except TimeoutError:
            raise _RefusedError(408, f"the request did not arrive within {self._limits.body_s:g} s") from None

    async def _read(self, receive: Receive) -> bytes:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _RefusedError(400, "the request broke off")
            part = message.get("body", b"")
            size += len(part)
            if size <= self._limits.body_bytes:
                parts.append(part)
            elif size > self._limits.drained_bytes:
                break
            if not message.get("more_body", False):
                break
        if size > self._limits.body_bytes:
            raise _RefusedError(413, f"more than {self._limits.body_bytes // 1024} KiB; allowed: less; send less")
        return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body as one message; after it, whether the sender is still there."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _answer(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": one_line(message), "field": None}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status in {408, 413}:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _report(error: Exception) -> None:
    """Where an error of ours came from, without its message, which may quote a patient."""
    places = [f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-3:]]
    print(f"internal error: {type(error).__name__} at {' < '.join(reversed(places))}", file=sys.stderr)  # noqa: T201

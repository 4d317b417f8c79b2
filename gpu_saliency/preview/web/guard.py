"""Who may talk to the preview: pages that it served itself, and nobody who got here under a foreign name.

A page of another site can make a browser send requests to this machine, and can give its own name this machine's address (DNS
rebinding). So Host must be one of ours, and Origin, which browsers send with every WebSocket, must be that Host.
"""

from __future__ import annotations

import ipaddress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = [
    # The page loads nothing from elsewhere, runs no text as a program, and lies in nobody's frame.
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # The address may hold a token.
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


def is_loopback(host: str) -> bool:
    """Whether ``host``, an address or a name, is this machine for itself alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_hosts(host: str, port: int) -> frozenset[str] | None:
    """The values of Host that are ours; ``None`` beyond loopback, where others know this machine by any name."""
    if not is_loopback(host):
        return None
    shown = f"[{host}]" if ":" in host else host
    names = (shown, "127.0.0.1", "localhost", "[::1]")
    # Browsers leave out the usual port.
    return frozenset(f"{name}:{port}" for name in names) | (frozenset(names) if port == 80 else frozenset())


class Guard:
    """ASGI middleware: refuses foreign requests with 403, and adds the headers that keep the page to itself."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refused})  # before it was accepted: a 403
            return
        if refused:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": f"{refused}\n".encode()})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> str:
        """Why a request is refused; empty if it is not."""
        named = {key: [value.decode("latin-1") for name, value in scope["headers"] if name == key] for key in (b"host", b"origin")}
        hosts, origins = named[b"host"], named[b"origin"]
        if len(hosts) != 1 or (self._hosts is not None and hosts[0].lower() not in self._hosts):
            return "this preview goes by another name"
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return "a page of another site may not look at this preview"
        return ""

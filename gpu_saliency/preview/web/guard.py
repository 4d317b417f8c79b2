"""Accepts requests only from the page that this server delivered, to prevent attacks by other web sites.

A page of another site can make a browser send requests to this machine, and can resolve its own host name to this machine's address
(DNS rebinding). So the Host header must be one of `own_hosts`, and Origin, which browsers send with every WebSocket, must equal it.
"""

from __future__ import annotations

import ipaddress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = [
    # The page cannot load resources from other sites, run inline scripts, or be framed.
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # The URL may contain the token.
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


def is_loopback(host: str) -> bool:
    """Whether ``host``, an address or a name, can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_hosts(host: str, port: int) -> frozenset[str] | None:
    """The accepted values of the Host header; ``None`` accepts any, for addresses beyond loopback, which may have any name."""
    if not is_loopback(host):
        return None
    shown = f"[{host}]" if ":" in host else host
    names = (shown, "127.0.0.1", "localhost", "[::1]")
    # Browsers omit the default port from the Host header.
    return frozenset(f"{name}:{port}" for name in names) | (frozenset(names) if port == 80 else frozenset())


class Guard:
    """ASGI middleware: rejects requests of other sites with 403, and adds security headers to responses."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refused})  # before acceptance, this is a 403
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
        """The reason to refuse the request; empty if it is accepted."""
        headers = {
            key: [value.decode("latin-1") for name, value in scope["headers"] if name == key] for key in (b"host", b"origin")
        }
        hosts, origins = headers[b"host"], headers[b"origin"]
        if len(hosts) != 1 or (self._hosts is not None and hosts[0].lower() not in self._hosts):
            return "unknown Host header"
        own = {f"{scheme}://{hosts[0].lower()}" for scheme in ("http", "https")}  # https: behind a proxy with TLS
        if any(origin.lower() not in own for origin in origins):
            return "the Origin header names another site"
        return ""

"""Refusing a request as soon as its headers are there, before it becomes a task.

In a flood most requests are refused, and what a refusal costs is taken from those that are not:
here it costs a third less than it does as an ASGI application. Only one address is asked for here;
for any other, and where an answer is under way on the same connection, `shared.http.Around` asks.
"""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared.http import ADMITTED, Gate, Refused
from shared.service.process import Process


class Refusing(HttpToolsProtocol):
    """One connection, with a gate before what is posted to `address`."""

    gate: Gate
    process: ClassVar[Process]
    address: ClassVar[str]
    refused = False

    def on_message_begin(self) -> None:
        """The next request."""
        self.refused = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Ask the gate, and answer at once if it does not open."""
        if self.url != self.address.encode() or not self.may_refuse():
            super().on_headers_complete()
            return
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope |= {"method": "POST", "path": self.address}
        refused = self.gate(scope)
        if refused is None:
            scope["extensions"] = {ADMITTED: {}}
            super().on_headers_complete()
        else:
            self.refused = True
            self.tell(refused)

    def may_refuse(self) -> bool:
        """Whether it is a post, and the connection free to answer and open afterwards."""
        if self.process.draining:
            return False
        free = self.cycle is None or self.cycle.response_complete
        parser = self.parser
        stays = parser.should_keep_alive() and not parser.should_upgrade()
        return free and stays and parser.get_method() == b"POST"

    def tell(self, refused: Refused) -> None:
        """Write the answer; the connection goes on."""
        refused.counter.inc()
        lines = [STATUS_LINE[refused.status]]
        for name, value in self.server_state.default_headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(refused.rest)
        self.transport.write(b"".join(lines))

    def on_body(self, body: bytes) -> None:
        """The body of what was refused is nobody's."""
        if not self.refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request; one that was refused has its answer already."""
        if self.refused:
            self.on_response_complete()
        else:
            super().on_message_complete()


def refusing(gate: Gate, process: Process) -> type[Refusing]:
    """The protocol of a server with this gate."""
    made = {"gate": staticmethod(gate), "process": process, "address": process.service.gated}
    return type("Gated", (Refusing,), made)

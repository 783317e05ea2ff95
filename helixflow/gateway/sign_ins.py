"""Failed sign-ins, told to the audit log with the address that they came from.

Whoever asks for a token, or accepts an invitation, is not authenticated before: the secret is in
the request. Only Auth knows whether it is right, and only the Ingress knows the address.
"""

from __future__ import annotations

from helixflow.errors import Unauthenticated
from helixflow.gateway.denials import Denials
from helixflow.gateway.ports import Desk
from helixflow.inference.desk import DeskAnswer, DeskCall


class SignIns:
    """`Desk` that passes everything on, and tells of secrets that are not right."""

    def __init__(self, desk: Desk, denials: Denials) -> None:
        self._desk = desk
        self._denials = denials

    async def call(self, call: DeskCall) -> DeskAnswer:
        """See `Desk.call`."""
        try:
            return await self._desk.call(call)
        except Unauthenticated as refused:
            if call.principal is None:
                self._denials.unauthenticated(call.source, refused)
            raise

"""Access tokens of all issuers: ours and outside ones."""

from __future__ import annotations

from helixflow.identity.access_tokens import TokenRefused, issuer_of
from helixflow.identity.issuers import OutsideAuthority
from helixflow.identity.ports import Verdict
from helixflow.identity.token_authority import TokenAuthority


class Tokens:
    """Asks the authority that an access token names. What names none is left to ours to refuse."""

    def __init__(self, issuer: str, ours: TokenAuthority, outside: OutsideAuthority) -> None:
        self._issuer = issuer
        self._ours = ours
        self._outside = outside

    async def verify(self, token: str) -> Verdict:
        """The verdict about a token. Raises `Unavailable`."""
        try:
            issuer = issuer_of(token)
        except TokenRefused:
            issuer = self._issuer
        if issuer == self._issuer:
            return await self._ours.verify(token)
        return await self._outside.verify(token)

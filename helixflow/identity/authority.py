"""What Auth decides: whose key this is, and whether it is valid.

Failure behavior: where the store is away, `verify` and `revision` raise `Unavailable`
(`auth_unavailable`), and the callers' warm verdicts go on until they expire.
"""

from __future__ import annotations

from helixflow.clock import Clock
from helixflow.crypto.mac import equal
from helixflow.errors import Refusal, Unauthenticated
from helixflow.identity.keys import mac
from helixflow.identity.ports import Found, KeyStore, StoredKey, Verdict
from helixflow.ids import ProjectId
from helixflow.inference.principal import Principal

_INVALID = "Incorrect API key provided. Check that it was copied whole and was not revoked."
_EXPIRED = "This API key has expired. Ask its owner for another one."


class KeyAuthority:
    """Decides about keys. An unknown, a revoked and a disabled key look alike to the caller."""

    def __init__(self, keys: KeyStore, pepper: bytes, clock: Clock) -> None:
        self._keys = keys
        self._pepper = pepper
        self._clock = clock

    async def verify(self, digest: bytes) -> Verdict:
        """See `Authority.verify`."""
        wanted = mac(self._pepper, digest)
        found = await self._keys.find(wanted)
        return judge(found, wanted, self._clock.now())

    async def revision(self) -> int:
        """See `Authority.revision`."""
        return await self._keys.revision()


def judge(found: Found, wanted: bytes, now: float) -> Verdict:
    """The verdict about what a look-up for the MAC `wanted` found."""
    key, revision = found.key, found.revision
    held = b"\x00" * len(wanted) if key is None else key.mac
    if not equal(held, wanted) or key is None or key.revoked_at is not None or found.disabled:
        return Verdict(None, Unauthenticated(Refusal.INVALID_API_KEY, _INVALID), revision)
    if key.expires_at is not None and key.expires_at <= now:
        return Verdict(None, Unauthenticated(Refusal.EXPIRED_API_KEY, _EXPIRED), revision)
    cidrs = None if key.cidrs is None else tuple(sorted(key.cidrs))
    return Verdict(principal_of(key), None, revision, key.expires_at, cidrs)


def principal_of(key: StoredKey) -> Principal:
    """The caller that a valid key stands for; an admin key's project is empty."""
    return Principal(
        organization=key.organization,
        project=ProjectId("") if key.project is None else key.project,
        key=key.id,
        name=key.name,
        permissions=key.permissions,
        models=key.models,
        subject=key.service_account or "",
    )

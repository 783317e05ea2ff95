"""The verdicts that an Ingress keeps: pure, bounded, and never older than what it knows.

Two rules close the race between a cold look-up and a revocation:

1. a verdict decided before the newest known revision is not stored (`put` says so, and the caller
   asks again);
2. a verdict is good only at the revision that it was decided at, so learning of a newer revision
   drops all that were decided before, in one step.

A verdict's life begins when it was asked for, not when the answer came, so a slow answer lives
shorter. Verdicts of valid and of invalid keys are kept apart: a flood of invalid ones cannot push
out a valid one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

from helixflow.identity.ports import Verdict
from helixflow.settings import IdentitySettings


@dataclass(frozen=True, slots=True)
class _Kept:
    verdict: Verdict
    until: float


_Map: TypeAlias = OrderedDict[bytes, _Kept]

_NEGATIVE_SHARE = 8


class VerdictCache:
    """Verdicts by the digest of the credential. Times are monotonic seconds unless named epoch."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._valid: _Map = OrderedDict()
        self._invalid: _Map = OrderedDict()
        self._valid_max = settings.verdicts_max
        self._invalid_max = max(1, settings.verdicts_max // _NEGATIVE_SHARE)
        self._valid_s = settings.verdict_s
        self._invalid_s = settings.negative_verdict_s
        self._revision = -1

    @property
    def revision(self) -> int:
        """The newest revision that is known; -1 before any."""
        return self._revision

    def __len__(self) -> int:
        return len(self._valid) + len(self._invalid)

    def get(self, digest: bytes, now: float) -> Verdict | None:
        """The verdict that holds at `now`, or None where Auth must be asked."""
        kept = self._valid.get(digest)
        if kept is not None:
            if kept.until > now and kept.verdict.revision == self._revision:
                self._valid.move_to_end(digest)
                return kept.verdict
            del self._valid[digest]
        kept = self._invalid.get(digest)
        if kept is not None:
            if kept.until > now and kept.verdict.revision == self._revision:
                return kept.verdict
            del self._invalid[digest]
        return None

    def put(self, digest: bytes, verdict: Verdict, asked_at: float, epoch_at: float) -> bool:
        """Keep a verdict that was asked for at `asked_at` (monotonic) = `epoch_at` (epoch).

        False where it was decided before the newest known revision: it must not be used.
        """
        if verdict.revision < self._revision:
            return False
        self._revision = verdict.revision
        self._valid.pop(digest, None)
        self._invalid.pop(digest, None)
        if verdict.principal is None:
            self._keep(self._invalid, self._invalid_max, digest, verdict, self._invalid_s, asked_at)
            return True
        life_s = self._valid_s
        if verdict.expires_at is not None:
            life_s = min(life_s, verdict.expires_at - epoch_at)
        self._keep(self._valid, self._valid_max, digest, verdict, life_s, asked_at)
        return True

    def learn(self, revision: int) -> bool:
        """A revision was seen; True where it is news, and every verdict before it is gone."""
        if revision <= self._revision:
            return False
        self._revision = revision
        return True

    def set_back(self, revision: int) -> None:
        """The store went back to an older state (a backup was restored): nothing kept holds."""
        self._valid.clear()
        self._invalid.clear()
        self._revision = revision

    @staticmethod
    def _keep(
        kept: _Map, most: int, digest: bytes, verdict: Verdict, life_s: float, asked_at: float
    ) -> None:
        while len(kept) >= most:
            kept.popitem(last=False)
        kept[digest] = _Kept(verdict, asked_at + life_s)

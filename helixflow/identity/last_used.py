"""When keys were last used: gathered in memory, written in batches, coarse on purpose.

Failure behavior: what the store does not take is kept for the next batch, up to a bound; beyond it
the oldest notes are dropped, since a later use notes the key again. Nothing waits for it.
"""

from __future__ import annotations

import contextlib

from helixflow.clock import Clock
from helixflow.errors import Unavailable
from helixflow.identity.ports import Touch
from helixflow.ids import KeyId

_NOTES_MAX = 10_000
_BATCH_MAX = 500
_KEY_PREFIX = "key_"


class LastUsed:
    """Notes of uses, on their way to the store."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._notes: dict[KeyId, float] = {}

    def __len__(self) -> int:
        return len(self._notes)

    def note(self, key: KeyId) -> None:
        """A key was used just now. Callers without a key (tokens of people) are passed over."""
        if not key.startswith(_KEY_PREFIX):
            return
        self._notes.pop(key, None)
        if len(self._notes) >= _NOTES_MAX:
            self._notes.pop(next(iter(self._notes)))
        self._notes[key] = self._clock.now()

    async def flush(self, keys: Touch) -> None:
        """Write what was noted, a batch at a time."""
        with contextlib.suppress(Unavailable):
            while self._notes:
                batch = dict(list(self._notes.items())[:_BATCH_MAX])
                await keys.touch(batch)
                for key, at in batch.items():
                    if self._notes.get(key) == at:
                        del self._notes[key]

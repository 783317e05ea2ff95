"""Kept content, put together over its stores.

content = build_content(stores.contents, stores.keys, ring, settings.telemetry.content,
                        audit.log, home / "content", clock, tally)
Station(sinks=[..., content.sink], operations=[..., *content.desk.operations()],
        vault=content.vault, ...)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helixflow.clock import Clock
from helixflow.crypto.master_key import KeyRing
from helixflow.settings import ContentSettings
from helixflow.telemetry.audit.log import AuditLog
from helixflow.telemetry.content.desk import ContentDesk
from helixflow.telemetry.content.keys import ContentKeys
from helixflow.telemetry.content.ports import ContentKeyStore, ContentStore
from helixflow.telemetry.content.sink import ContentSink
from helixflow.telemetry.content.vault import Vault
from helixflow.telemetry.marks_file import MarksFile
from helixflow.telemetry.tally import Tally


@dataclass(frozen=True, slots=True)
class KeptContent:
    """Attributes: where contents and changes come in, and where questions are answered."""

    vault: Vault
    sink: ContentSink
    desk: ContentDesk


def build_content(
    store: ContentStore,
    key_store: ContentKeyStore,
    ring: KeyRing,
    settings: ContentSettings,
    audit: AuditLog,
    folder: Path,
    clock: Clock,
    tally: Tally,
) -> KeptContent:
    """The parts. `ring` wraps the data keys, `audit` takes down who reads, in `folder` lie marks.

    Raises OSError where the folder cannot be made.
    """
    keys = ContentKeys(key_store, store, ring, clock)
    vault = Vault(store, keys, settings, clock, tally)
    return KeptContent(
        vault,
        ContentSink(vault, MarksFile(folder / "marks.json")),
        ContentDesk(store, keys, vault, audit, clock),
    )

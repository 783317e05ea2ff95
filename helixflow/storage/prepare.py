"""Bring the identity store up: master key, schema, first tenant, first keys.

The command line calls this before it deploys, Auth when it starts; both may do so at once. A file
lock in the home folder lets one go first, and the database itself decides where there are several
home folders.

Failure behavior: `ConfigError` for what a person must mend, `Unavailable` where the database is
away. Nothing is half done: a key is in the database before it is in the file, and where the file
could not be written the next `prepare` with `need_key` mints another one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from helixflow.clock import Clock
from helixflow.crypto.key_source import load_master_key
from helixflow.crypto.master_key import MasterKey
from helixflow.crypto.secret import Secret
from helixflow.errors import ConfigError
from helixflow.identity.authority import KeyAuthority
from helixflow.identity.bootstrap import ensure_bootstrap, mint_key
from helixflow.identity.keys import PEPPER_PURPOSE, KeyKind, digest, parse
from helixflow.settings import StorageSettings
from helixflow.storage.database import Database
from helixflow.storage.env_file import EnvFile
from helixflow.storage.keys import SqlKeyStore
from helixflow.storage.outbox import SqlOutbox
from helixflow.storage.purge import SqlPurge
from helixflow.storage.store import SqlStore

KEY_VARIABLE = "OPENAI_API_KEY"
ADMIN_KEY_VARIABLE = "HELIXFLOW_ADMIN_KEY"
ENV_FILE = "env"
_LOCK_FILE = "prepare.lock"
_LOCK_POLL_S = 0.02
_VARIABLES = {KeyKind.PROJECT: KEY_VARIABLE, KeyKind.ADMIN: ADMIN_KEY_VARIABLE}


class Stores:
    """All repositories of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keys = SqlKeyStore(database)
        self.units = SqlStore(database)
        self.outbox = SqlOutbox(database)
        self.purge = SqlPurge(database)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An identity store that is ready.

    Attributes:
        stores: its repositories; `stores.database.close()` when done.
        ring: the master key.
        authority: what decides about keys.
        env: the file that holds the keys (`OPENAI_API_KEY`, `HELIXFLOW_ADMIN_KEY`), `env` in the
            home folder.
        key, admin_key: the keys in that file, if they are there and valid.
        minted: whether one was minted just now.
    """

    stores: Stores
    ring: MasterKey
    authority: KeyAuthority
    env: EnvFile
    key: Secret | None
    admin_key: Secret | None
    minted: bool


async def prepare(
    settings: StorageSettings,
    home: Path,
    clock: Clock,
    environ: Mapping[str, str],
    *,
    need_key: bool = False,
    lock_s: float = 60.0,
) -> Prepared:
    """Open the store, migrate it, and see to the first tenant and the first keys.

    Args:
        environ: where the master key may be (crypto/key_source.py).
        need_key: mint keys where the file holds none that are valid; otherwise only the very
            first start mints them.
        lock_s: how long to wait for another process that prepares the same home.
    """
    await asyncio.to_thread(home.mkdir, mode=0o700, parents=True, exist_ok=True)
    async with _alone(home / _LOCK_FILE, lock_s):
        ring = await asyncio.to_thread(load_master_key, home, environ)
        database = Database.open(settings, home)
        try:
            await database.upgrade()
            stores = Stores(database)
            authority = KeyAuthority(stores.keys, ring.derive(PEPPER_PURPOSE), clock)
            env = EnvFile(home / ENV_FILE)
            minted: dict[KeyKind, Secret] = {}
            held: dict[KeyKind, Secret] = {}
            first = await ensure_bootstrap(stores.units, ring, clock)
            if first is not None:
                minted = {KeyKind.PROJECT: first.project, KeyKind.ADMIN: first.admin}
            else:
                held = await _valid_keys(env, authority)
                for kind in _VARIABLES if need_key else ():
                    if kind not in held:
                        minted[kind] = await mint_key(stores.units, ring, clock, kind)
            if minted:
                texts = {_VARIABLES[kind]: key.reveal() for kind, key in minted.items()}
                await asyncio.to_thread(env.update, texts)
        except BaseException:
            await database.close()
            raise
    keys = held | minted
    return Prepared(
        stores, ring, authority, env, keys.get(KeyKind.PROJECT), keys.get(KeyKind.ADMIN),
        bool(minted),
    )  # fmt: skip


async def _valid_keys(env: EnvFile, authority: KeyAuthority) -> dict[KeyKind, Secret]:
    """The keys in the file that are what their variable says, and valid."""
    found: dict[KeyKind, Secret] = {}
    texts = await asyncio.to_thread(env.read)
    for kind, variable in _VARIABLES.items():
        text = texts.get(variable, "")
        if parse(text) is kind and (await authority.verify(digest(text))).principal is not None:
            found[kind] = Secret(text)
    return found


@asynccontextmanager
async def _alone(path: Path, limit_s: float) -> AsyncIterator[None]:
    """Hold a file lock; it ends with the process at the latest."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            async with asyncio.timeout(limit_s):
                while not _try_lock(handle):  # noqa: ASYNC110 (the holder is another process)
                    await asyncio.sleep(_LOCK_POLL_S)
        except TimeoutError:
            raise ConfigError(f"{path}: another process has held it for {limit_s:g} s") from None
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

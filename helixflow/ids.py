"""Typed identifiers and how they are minted.

Each is a prefix that says what it names and 128 random bits in base 32 (no look-alikes, safe in
URLs, headers and file names). A request id is ours alone: what a client sends is only a note.
"""

from __future__ import annotations

import base64
import os
from typing import NewType

KeyId = NewType("KeyId", str)
OrganizationId = NewType("OrganizationId", str)
ProjectId = NewType("ProjectId", str)
RequestId = NewType("RequestId", str)
ServiceAccountId = NewType("ServiceAccountId", str)
UserId = NewType("UserId", str)


def _mint(prefix: str) -> str:
    return prefix + base64.b32encode(os.urandom(16)).decode("ascii").rstrip("=").lower()


def mint_key_id() -> KeyId:
    return KeyId(_mint("key_"))


def mint_organization_id() -> OrganizationId:
    return OrganizationId(_mint("org_"))


def mint_project_id() -> ProjectId:
    return ProjectId(_mint("proj_"))


def mint_request_id() -> RequestId:
    return RequestId("req_" + os.urandom(16).hex())


def mint_service_account_id() -> ServiceAccountId:
    return ServiceAccountId(_mint("svc_acct_"))


def mint_user_id() -> UserId:
    return UserId(_mint("user_"))

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from helixflow import ids


@pytest.mark.parametrize(
    ("mint", "form"),
    [
        (ids.mint_key_id, r"key_[a-z2-7]{26}"),
        (ids.mint_organization_id, r"org_[a-z2-7]{26}"),
        (ids.mint_project_id, r"proj_[a-z2-7]{26}"),
        (ids.mint_request_id, r"req_[0-9a-f]{32}"),
        (ids.mint_service_account_id, r"svc_acct_[a-z2-7]{26}"),
        (ids.mint_user_id, r"user_[a-z2-7]{26}"),
    ],
)
def test_an_id_says_what_it_names_and_is_never_given_twice(
    mint: Callable[[], str], form: str
) -> None:
    minted = {mint() for _ in range(100)}
    assert len(minted) == 100
    assert all(re.fullmatch(form, one) for one in minted)

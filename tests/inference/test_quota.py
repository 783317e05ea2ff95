from __future__ import annotations

from helixflow.inference.quota import LimitName, Quota, Scope, ServiceClass, Share


def test_a_quota_crosses_a_process_border() -> None:
    quota = Quota(LimitName.SPEND_PER_DAY, (Scope.MODEL, Scope.PROJECT), 7, True, "smollm2")
    assert Quota.from_wire(quota.to_wire()) == quota


def test_a_share_crosses_a_process_border() -> None:
    share = Share(2.5, ServiceClass.BATCH)
    assert Share.from_wire(share.to_wire()) == share

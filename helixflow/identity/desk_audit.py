"""Who may read the audit log, and have somebody forgotten: Auth decides, Telemetry answers.

The log lies with Telemetry, which knows no roles. An Ingress asks here first, for the place that
the question is about; what it is told is that nothing stands in the way.
"""

from __future__ import annotations

from typing import Any

from helixflow.identity.desk_operation import Arguments, InProject, Operation, Shown, Visit
from helixflow.identity.permissions import Permission


async def _granted(_: Visit, __: Any) -> Shown:
    """Whoever comes this far may."""
    return Shown({})


OPERATIONS = (
    Operation("audit.read", Permission.AUDIT_READ, Arguments, _granted),
    Operation("audit.read_project", Permission.AUDIT_READ, InProject, _granted),
    Operation("audit.read_platform", Permission.AUDIT_READ, Arguments, _granted, platform=True),
    Operation("audit.erase", Permission.AUDIT_ERASE, Arguments, _granted),
    Operation("audit.erase_platform", Permission.AUDIT_ERASE, Arguments, _granted, platform=True),
)

"""What `ray start` calls before it starts anything (`RAY_START_HOOK`).

It imports nothing, because it runs in Ray's own process.
"""

from __future__ import annotations

from typing import Any


def trim(parameters: Any, head: bool) -> None:
    """Leave out Ray Client's server: a second way in, and a process of 90 MB.

    `ray start` has no option for that where grpcio is installed.
    """
    if head:
        parameters.ray_client_server_port = None

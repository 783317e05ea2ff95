"""Letting telemetry finish before its Ray ends: `python -m deployments.telemetry_end SECONDS`.

A program of its own, because the command line never imports Ray. RAY_ADDRESS and Ray's token come
with the environment.

Failure behavior: exit code 0 where telemetry has finished or there is none, 1 where it could not
within the time given; then the journals keep what is left for the next start.
"""

from __future__ import annotations

import logging
import os
import sys
import time

import ray
from ray.exceptions import RayError

from deployments.names import NAMESPACE, TELEMETRY


def main(arguments: list[str]) -> int:
    """See the module."""
    ends_at = time.monotonic() + float(arguments[0])
    try:
        ray.init(
            os.environ["RAY_ADDRESS"],
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        try:
            actor = ray.get_actor(TELEMETRY)
        except ValueError:
            return 0
        ray.get(actor.close.remote(), timeout=max(0.1, ends_at - time.monotonic()))
    except (OSError, RayError) as error:
        sys.stderr.write(f"telemetry could not finish: {type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The machine may be busy: how long an example takes says nothing about the code. `make test-full`
# draws many more examples than the suite that runs on every change.
for _name, _examples in (("quick", 30), ("full", 300)):
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("HELIXFLOW_EXAMPLES", "quick"))

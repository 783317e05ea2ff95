"""What telemetry costs a request, and how much the hub takes."""

"""What happened: logs (metrics, traces, usage and audit have their places here)."""

"""What identity costs: callers, stores full of keys, and how soon a revocation holds."""

"""The audit log: a hash chain over ciphertext that anyone can check, and that can forget a person."""

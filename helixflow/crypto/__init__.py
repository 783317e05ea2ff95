"""Keys and ciphers: the one home of `cryptography`."""

"""Which systems meet under which loads."""

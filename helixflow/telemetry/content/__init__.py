"""What a project keeps of the content of its requests: sealed, bounded, and erased with its key."""

"""What is measured. One system runs at a time."""

"""Ray shells and the composition root: construction and delegation, nothing else."""

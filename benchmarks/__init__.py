"""HelixFlow measured beside its peers: the same work, the same machine, the same run.

    python -m benchmarks            ten minutes (`make bench`)
    python -m benchmarks --full     everything, at length (`make bench-full`)

load/       the load generator: processes of its own, raw sockets, every answer checked
stats/      medians, spreads, histograms: pure
systems/    what is measured: each one starts, says where it listens, and stops by process ids
scenarios/  which systems meet under which loads
report/     JSON, Markdown and plots from a finished run
"""

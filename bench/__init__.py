"""The load benchmark: the gain of concurrency, the distance to the floor, the comparison with the peers.

`python -m bench --help` tells how to run it, `docs/performance.md` how it measures. Data flows one way:
`scenarios` drive `servers`, stores and load (`http`, `load`) behind a `link` and write `results`. `report`,
`bars` and `plots` come from these, also later, from the JSON alone.
"""

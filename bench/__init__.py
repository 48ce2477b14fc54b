"""The load benchmark: what concurrency buys, how far the floor is, how we stand against the peers.

`python -m bench --help` tells how to run it, `docs/performance.md` how it measures. Data flows one way:
`scenarios` drive `servers`, stores and load (`http`, `load`) behind a `link`; what they measure goes into
`results`, from which `report`, `bars` and `plots` are made, also later, from the JSON alone.
"""

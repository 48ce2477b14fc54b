"""The drivers that ship with the engine, and the wrappers that go around any driver.

The engine finds them as it finds drivers of other packages: by entry points of the group `revstore_async.drivers`.

All drivers share `arguments`. The drivers of buckets share the package `buckets`: methods, options, requests and
their tries, refusals, readers, and the order of keys.
"""

"""The drivers that ship with the engine, and the wrappers that go around any driver.

They come in by the same door as a stranger's: entry points of the group `revstore_async.drivers`.

All drivers share `arguments` and `tables` (the options of a URL). The drivers of buckets share the package
`buckets`: the methods, options, requests and their tries, refusals, readers, and the order of keys.
"""

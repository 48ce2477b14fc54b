"""The drivers that ship with the engine, and the wrappers that go around any driver.

They come in by the same door as a stranger's: entry points of the group `revstore_async.drivers`.

The drivers share these modules: `arguments` and `state` for all; for those of a bucket `bucket` (the methods),
`tables` and `options` (what a URL may say), `turns` (requests and their tries), `refusals`, `resuming`
(readers), `ending` (writers) and `places` (listings).
"""

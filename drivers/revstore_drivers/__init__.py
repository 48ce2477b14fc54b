"""The drivers that ship with the engine, and the wrappers that go around any driver.

They come in by the same door as a stranger's: entry points of the group `revstore_async.drivers`.
"""

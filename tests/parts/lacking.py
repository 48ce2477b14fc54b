"""Drivers that lack a capability."""

from dataclasses import replace

from revstore_async.driver import Capabilities, DriverWrapper


class WithoutConditionalDelete(DriverWrapper):
    """A store that can't delete on a condition, as MinIO."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, conditional_delete=False)


class WithoutConditionalPut(DriverWrapper):
    """A store that can't write on a condition."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, conditional_put=False)


class WithoutBulkDelete(DriverWrapper):
    """A store that takes one request for each deleted object."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, bulk_delete=False)

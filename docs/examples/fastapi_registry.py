"""A registry in a FastAPI program. Run it by: uvicorn --app-dir docs/examples fastapi_registry:app --port 5000."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from revstore_async import Registry
from revstore_async.server import RegistryApp

registry = Registry.open("file:./images")


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Open the store for as long as the program runs."""
    async with registry:
        yield


app = FastAPI(lifespan=lifespan)
app.get("/hello")(lambda: "a route of the program's own")
app.mount("/", RegistryApp(registry))

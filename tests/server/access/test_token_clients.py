"""Docker's token scheme with a real client: it reads the challenge, gets a token, and comes again."""

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from revstore_async import Registry
from revstore_async.server import BearerTokens, RegistryApp
from tests.parts.programs import program
from tests.parts.serving import serving
from tests.parts.tokens import ISSUER, KEY, SERVICE, public, token

HELLO = Path(__file__).parents[3] / "docs" / "examples" / "hello"


class Issuer:
    """Gives everybody a token to pull, and to ann one that grants what she asks for."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(Request(scope))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        asked = [text for name, text in parse_qsl(request.url.query) if name == "scope"]
        self.scopes += asked
        ann = "authorization" in request.headers
        claims = {"iss": ISSUER, "aud": SERVICE, "sub": "ann" if ann else "", "exp": int(time.time()) + 60}
        granted = [_entry(text, all_of_it=ann) for text in asked]
        return JSONResponse({"token": token(claims | {"access": granted}, KEY)})


def _entry(scope: str, *, all_of_it: bool) -> dict[str, Any]:
    kind, name, actions = scope.split(":")
    kept = [action for action in actions.split(",") if all_of_it or action == "pull"]
    return {"type": kind, "name": name, "actions": kept}


async def skopeo(*arguments: str) -> tuple[int, str]:
    command = [program("skopeo"), *arguments]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


async def test_skopeo_gets_tokens_that_grant_what_it_does_and_no_more(in_memory: Registry, tmp_path: Path):
    issuer = Issuer()
    async with serving(issuer) as realm:
        access = BearerTokens(ISSUER, SERVICE, public(KEY), f"{realm.url}/token")
        app: ASGIApp = RegistryApp(in_memory, access=access)
        async with serving(app) as server:
            image = f"docker://{server.host}/library/hello:latest"
            to = ("copy", "--insecure-policy", "--dest-tls-verify=false", f"oci:{HELLO}", image)
            back = (
                "copy",
                "--insecure-policy",
                "--src-tls-verify=false",
                image,
                f"oci:{tmp_path / 'back'}:a",
            )
            code, said = await skopeo(*to)
            assert code != 0, said
            code, said = await skopeo(*to[:1], "--dest-creds", "ann:secret", *to[1:])
            assert code == 0, said
            code, said = await skopeo(*back)
            assert code == 0, said
            plain = ("--tls-verify=false", image)
            code, said = await skopeo("delete", *plain)
            assert code != 0, said
            code, said = await skopeo("delete", "--creds", "ann:secret", *plain)
            assert code == 0, said
    assert {"repository:library/hello:pull,push", "repository:library/hello:pull"} <= set(issuer.scopes)

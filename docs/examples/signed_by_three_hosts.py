"""The main job, start to end: three hosts sign one manifest, the registry merges and serves all signatures.

Run it with `make demo`, or `python docs/examples/signed_by_three_hosts.py [STORE-URL]`.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from revstore_async import Registry, SigningKey, TrustedKeys, serialise, sign, verify_document
from revstore_async.errors import VerificationFailed


def say(text: str = "") -> None:
    """Print a line."""
    print(text)


def manifest_of(layer: str) -> bytes:
    """Return a Docker schema 1 manifest of one layer, as a client writes it: unsigned, indented by three."""
    members = {
        "schemaVersion": 1,
        "name": "library/hello",
        "tag": "latest",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": layer}],
        "history": [{"v1Compatibility": json.dumps({"id": layer.partition(":")[2], "os": "linux"})}],
    }
    return json.dumps(members, indent=3).encode()


async def main(url: str) -> None:
    """Run the steps on the store at this URL."""
    say(f"The store is {url}. It is opened with Registry.open(url).\n")
    async with Registry.open(url) as registry:
        hello = registry.repository("library/hello")

        say("1. A layer goes in; it is named by the digest of its content.")
        layer = await hello.blobs.put(b"what the image is made of\n")
        say(f"   {layer.digest}  {layer.size} bytes\n")

        say(
            "2. Three hosts sign the same manifest, each with a key of its own, and each puts its own document."
        )
        payload = manifest_of(layer.digest)
        hosts = {
            name: SigningKey.generate() for name in ("build.example", "audit.example", "release.example")
        }
        for name, key in hosts.items():
            document = serialise(payload, [sign(payload, key)])
            stored = await hello.manifests.put(document, tag="latest")
            say(f"   {name:15}  key {key.kid[:9]}...  {len(document)} bytes  -> {stored.digest[:19]}...")
        say("   One manifest, one digest: that of the payload that all of them signed.\n")

        say("3. It is found by its tag, and by its digest, and comes out with every signature merged.")
        manifest = await hello.manifests.get("latest")
        assert manifest == await hello.manifests.get(manifest.digest)
        for signature in verify_document(manifest.content).signatures:
            signer = next(name for name, key in hosts.items() if key.kid == signature.kid)
            say(f"   verified  {signature.kid[:9]}...  {signature.alg}  {signature.time:%H:%M:%S}  {signer}")
        say(f"   {len(manifest.content)} bytes, {manifest.media_type}\n")

        say("4. Whose signatures count is up to you: TrustedKeys([release.example's key]) asks for one.")
        trusted = TrustedKeys([hosts["release.example"].kid])
        counted = sum(map(trusted.trusted, manifest.signatures))
        say(f"   {counted} of {len(manifest.signatures)} signatures counts\n")

        say("5. What does not fit is refused, with everything that is wrong in one error.")
        foreign = json.loads(payload) | {
            "name": "library/other",
            "fsLayers": [{"blobSum": "sha256:" + "0" * 64}],
        }
        try:
            await hello.manifests.put(json.dumps(foreign).encode(), tag="latest")
        except VerificationFailed as error:
            say("   " + str(error).replace("\n", "\n   ") + "\n")

        say("6. The tag remembers what it pointed at.")
        for event in await hello.tags.history("latest"):
            say(f"   since {event.since:%Y-%m-%d %H:%M:%S}  {event.digest}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main((Path(folder) / "store").as_uri()))

"""aiobotocore's HTTP session, without aiohttp's own retries.

aiohttp sends a PUT again, and says nothing, when a connection that it had kept breaks before the answer. Then
a conditional put whose answer was lost would come back as one that lost: its second self found the first.
"""

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession


def session_without_retries(**arguments: Any) -> Any:  # noqa: ANN401 (neither is typed)
    """Return a session as aiobotocore makes it, whose requests are sent once."""
    session: Any = AIOHTTPSession(**arguments)
    opened = session._get_session  # noqa: SLF001 (neither package has a door for it)

    async def opened_without_retries(proxy_url: str | None) -> object:
        found = await opened(proxy_url)
        found._retry_connection = False  # noqa: SLF001 (as above; a test holds that it works)
        return found

    session._get_session = opened_without_retries  # noqa: SLF001 (as above)
    return session

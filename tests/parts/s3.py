"""The inside of the S3 driver, for its tests: its requests and its connections."""

from collections import Counter

from revstore_drivers.s3 import S3Driver


def connections_in_use(driver: S3Driver) -> list[str]:
    """Name the connections and slots that an idle driver still holds."""
    client = driver._client
    if client is None:
        return []
    held = [f"{client.slots.taken} slots"] if client.slots.taken else []
    sessions = client._client._endpoint.http_session._sessions.values()
    held += [
        f"{len(session.connector._acquired)} connections"
        for session in sessions
        if session.connector._acquired
    ]
    return held


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


class Wire:
    """The requests of an open driver while the block lasts, as botocore's events tell.

    Attributes:
        operations: Each request's operation, in the order of sending.
        most_at_once: Of each operation, how many were under way at once.
    """

    def __init__(self, driver: S3Driver) -> None:
        self.operations: list[str] = []
        self.most_at_once: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self._way = driver._open()._signed
        self._events = driver._open()._client.meta.events
        self._bodies: list[tuple[str, int]] = []
        self._now: Counter[str] = Counter()

    def __enter__(self):
        self._way.told = True
        self._events.register("before-send.s3", self._sent)
        self._events.register("response-received.s3", self._answered)
        return self

    def __exit__(self, *_):
        self._way.told = False
        self._events.unregister("before-send.s3", self._sent)
        self._events.unregister("response-received.s3", self._answered)

    def _sent(self, request, event_name: str, **_) -> None:
        operation = event_name.rpartition(".")[2]
        self.operations.append(operation)
        self.headers.append({name.lower(): _text(value) for name, value in request.headers.items()})
        self._bodies.append((operation, int(request.headers.get("Content-Length", 0))))
        self._now[operation] += 1
        self.most_at_once[operation] = max(self.most_at_once[operation], self._now[operation])

    def _answered(self, event_name: str, **_) -> None:
        self._now[event_name.rpartition(".")[2]] -= 1

    def sizes(self, operation: str) -> list[int]:
        """Return the sizes of the bodies that an operation sent."""
        return [size for name, size in self._bodies if name == operation]

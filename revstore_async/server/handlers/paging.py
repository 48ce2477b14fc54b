"""Pages of a listing: a client's parameters, and the `Link` to the next page.

Sources: OCI distribution spec 1.1, "Listing Tags"; RFC 8288 for `Link`.
"""

from urllib.parse import quote, urlencode

from ...errors import InvalidQuery
from ..context import RequestContext
from ..numbers import read_number


def parameter(context: RequestContext, name: str) -> str | None:
    """Return a query parameter; None if it is absent or empty.

    Raises:
        InvalidQuery: The parameter is given more than once.
    """
    values = context.request.query_params.getlist(name)
    if len(values) > 1:
        raise InvalidQuery(name, ", ".join(values), "it is given more than once")
    return values[0] or None if values else None


def number(context: RequestContext, name: str) -> int | None:
    """Return a query parameter that is a whole number, from 0 on; None if it is absent or empty.

    Raises:
        InvalidQuery: The parameter is not such a number, or it is given more than once.
    """
    text = parameter(context, name)
    if text is None:
        return None
    found = read_number(text)
    if found is None:
        raise InvalidQuery(name, text, "it is not a whole number, from 0 on")
    return found


def limit(context: RequestContext) -> int:
    """Return the limit of entries on the page: the client's `n`, up to the server's own limit.

    Raises:
        InvalidQuery: `n` is not a whole number, or it is given more than once.
    """
    wanted = number(context, "n")
    most = context.options.page_limit
    return most if wanted is None else min(wanted, most)


def next_page(context: RequestContext, **parameters: object) -> dict[str, str]:
    """Return the header that leads to the next page of this request's listing, relative to the host.

    Args:
        context: The request.
        **parameters: The next request's query; parameters that are None are left out.
    """
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    # A server in front may give the path with its base, or without it.
    path = context.base + context.request.scope["path"].removeprefix(context.base)
    return {"Link": f'<{quote(path)}?{query}>; rel="next"'}

"""A response that is made page by page while it is read.

Failure behavior: a page that cannot be made, or a reader that takes nothing for `slow_reader_s`,
ends the connection without the end of the body, which every client notices.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Message, Send

_SLOW_READER_S = 30.0


class PagedResponse(StreamingResponse):
    """Streams pages; one is in memory at a time."""

    def __init__(
        self,
        pages: AsyncIterator[bytes],
        media_type: str,
        headers: Mapping[str, str],
        slow_reader_s: float = _SLOW_READER_S,
    ) -> None:
        super().__init__(pages, media_type=media_type, headers=headers)
        self._slow_reader_s = slow_reader_s

    async def stream_response(self, send: Send) -> None:
        """See `StreamingResponse.stream_response`."""

        async def within(message: Message) -> None:
            async with asyncio.timeout(self._slow_reader_s):
                await send(message)

        await super().stream_response(within)

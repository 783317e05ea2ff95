"""What each request has used so far, known at any time, also when its client hangs up."""

from __future__ import annotations

from collections import OrderedDict

from helixflow.inference.usage import Usage

_ENDED_MAX = 1024


class Meter:
    """The running count of one request, which may have several prompts and choices.

    Attributes:
        finish_reason: OpenAI's word of the first choice, or empty.
    """

    __slots__ = ("_cached", "_prompt", "_written", "finish_reason")

    def __init__(self) -> None:
        self._prompt: dict[str, int] = {}
        self._cached: dict[str, int] = {}
        self._written: dict[tuple[str, int], int] = {}
        self.finish_reason = ""

    def read(self, prompt: str, tokens: int, cached: int) -> None:
        """A prompt has `tokens`, of which `cached` came from the prefix cache."""
        self._prompt[prompt] = tokens
        self._cached[prompt] = cached

    def wrote(self, prompt: str, choice: int, total: int) -> None:
        """A choice of a prompt has `total` tokens; a lower figure than before changes nothing."""
        place = (prompt, choice)
        self._written[place] = max(total, self._written.get(place, 0))

    def wrote_more(self, prompt: str, choice: int, tokens: int) -> None:
        """A choice of a prompt has `tokens` more."""
        place = (prompt, choice)
        self._written[place] = tokens + self._written.get(place, 0)

    @property
    def usage(self) -> Usage:
        """The count as it stands."""
        return Usage(
            sum(self._prompt.values()), sum(self._written.values()), sum(self._cached.values())
        )


class Meters:
    """The meters of running requests, and of the last thousand that ended."""

    def __init__(self, ended_max: int = _ENDED_MAX) -> None:
        self._running: dict[str, Meter] = {}
        self._ended: OrderedDict[str, Meter] = OrderedDict()
        self._ended_max = ended_max

    def open(self, request_id: str) -> Meter:
        """Begin to count a request."""
        meter = Meter()
        self._running[request_id] = meter
        return meter

    def close(self, request_id: str) -> None:
        """The request is over; its count is kept until many others have ended."""
        meter = self._running.pop(request_id, None)
        if meter is not None:
            self._ended[request_id] = meter
        if len(self._ended) > self._ended_max:
            self._ended.popitem(last=False)

    def usage(self, request_id: str) -> Usage:
        """The count of a running or ended request; zeros for any other."""
        meter = self._running.get(request_id) or self._ended.get(request_id)
        return Usage() if meter is None else meter.usage

"""Why there is no picture behind a URL: one closed list for what lies at hand and for the web."""

from enum import StrEnum


class Reason(StrEnum):
    # Nobody has it, or has it for us
    NOT_IN_CRAWL = "not_in_crawl"
    OPTED_OUT = "opted_out"
    TAKEN_DOWN = "taken_down"  # from an earlier corpus, whose store this is
    # The record, or the server, answered otherwise
    HTTP_3XX = "http_3xx"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    HTTP_OTHER = "http_other"
    RATE_LIMITED = "rate_limited"
    # The URL, or where it leads, is not asked
    BAD_URL = "bad_url"
    SCHEME = "scheme"
    FORBIDDEN_ADDRESS = "forbidden_address"
    FORBIDDEN_PORT = "forbidden_port"
    ROBOTS_DISALLOWED = "robots_disallowed"
    ROBOTS_UNREACHABLE = "robots_unreachable"
    CRAWL_DELAY = "crawl_delay"
    HOST_DOWN = "host_down"
    HOST_LIMIT = "host_limit"
    # The network
    DNS = "dns"
    CONNECTION = "connection"
    RESET = "reset"
    CUT_SHORT = "cut_short"
    PROTOCOL = "protocol"
    TLS = "tls"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    REDIRECT_LOOP = "redirect_loop"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    # The bytes
    DAMAGED_RECORD = "damaged_record"
    TOO_LARGE = "too_large"
    CONTENT_BOMB = "content_bomb"
    CONTENT_CODING = "content_coding"
    EMPTY = "empty"
    HTML = "html"
    NOT_AN_IMAGE = "not_an_image"
    SVG = "svg"
    UNLISTED_FORMAT = "unlisted_format"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_MANY_SCANS = "too_many_scans"
    TOO_SLOW = "too_slow"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"


# Of these another day may think better: a later run asks again. Every other reason stands.
PASSING = frozenset(
    {
        Reason.HTTP_5XX,
        Reason.RATE_LIMITED,
        Reason.ROBOTS_DISALLOWED,
        Reason.ROBOTS_UNREACHABLE,
        Reason.CRAWL_DELAY,
        Reason.HOST_DOWN,
        Reason.HOST_LIMIT,
        Reason.DNS,
        Reason.CONNECTION,
        Reason.RESET,
        Reason.CUT_SHORT,
        Reason.PROTOCOL,
        Reason.TIMEOUT,
        Reason.DEADLINE,
    }
)

# The host did not answer, or not as one that is well.
UNANSWERED = frozenset(
    {
        Reason.HTTP_5XX,
        Reason.ROBOTS_UNREACHABLE,
        Reason.HOST_DOWN,
        Reason.DNS,
        Reason.CONNECTION,
        Reason.RESET,
        Reason.CUT_SHORT,
        Reason.PROTOCOL,
        Reason.TLS,
        Reason.TIMEOUT,
        Reason.DEADLINE,
    }
)


class Refused(Exception):
    """There is no picture to be had, and that is no fault of ours."""

    def __init__(self, reason: Reason, detail: str = ""):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


def of_status(status: int) -> Reason:
    """The reason that an HTTP status without a picture stands for."""
    if status == 429:
        return Reason.RATE_LIMITED
    return _BY_CLASS.get(status // 100, Reason.HTTP_OTHER)


_BY_CLASS = {3: Reason.HTTP_3XX, 4: Reason.HTTP_4XX, 5: Reason.HTTP_5XX}

"""Why there is no picture behind a URL: one closed list for crawl and web."""

from enum import StrEnum


class Reason(StrEnum):
    # Nobody has it, or has it for us
    NOT_IN_CRAWL = "not_in_crawl"
    OPTED_OUT = "opted_out"
    # The crawl's record, or the server, answered otherwise
    HTTP_3XX = "http_3xx"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    HTTP_OTHER = "http_other"
    # The URL, or where it leads, is not asked
    BAD_URL = "bad_url"
    SCHEME = "scheme"
    FORBIDDEN_ADDRESS = "forbidden_address"
    ROBOTS_DISALLOWED = "robots_disallowed"
    ROBOTS_UNREACHABLE = "robots_unreachable"
    CRAWL_DELAY = "crawl_delay"
    DEAD_HOST = "dead_host"
    # The network
    CONNECTION = "connection"
    TLS = "tls"
    TIMEOUT = "timeout"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    # The bytes
    DAMAGED_RECORD = "damaged_record"
    TOO_LARGE = "too_large"
    CONTENT_CODING = "content_coding"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    SVG = "svg"
    UNLISTED_FORMAT = "unlisted_format"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_MANY_SCANS = "too_many_scans"
    TOO_SLOW = "too_slow"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"


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
    return _BY_CLASS.get(status // 100, Reason.HTTP_OTHER)


_BY_CLASS = {3: Reason.HTTP_3XX, 4: Reason.HTTP_4XX, 5: Reason.HTTP_5XX}

"""What the API says no with: a status, and the code the vendor documents for it."""

from dataclasses import dataclass

CODES = {
    400: ("BAD_REQUEST", "This request cannot be understood."),
    401: ("UNAUTHORIZED", "A valid API key is needed."),
    403: ("FORBIDDEN", "This key may not do that."),
    404: ("NOT_FOUND", "There is no such thing here."),
    405: ("METHOD_NOT_ALLOWED", "This path knows no such method."),
    408: ("REQUEST_TIMEOUT", "The request took too long to arrive."),
    409: ("CONFLICT_ERROR", "This collides with what exists."),
    413: ("PAYLOAD_TOO_LARGE", "The body is too large."),
    422: ("UNPROCESSABLE_ENTITY", "This request is well formed but cannot be carried out."),
    425: ("TOO_EARLY", "Too early, come back later."),
    429: ("TOO_MANY_REQUESTS", "Too many requests in this hour."),
    500: ("INTERNAL_SERVER_ERROR", "Something broke on this side."),
    502: ("BAD_GATEWAY", "The gateway got no usable answer."),
    503: ("SERVICE_UNAVAILABLE", "The service is away."),
    504: ("GATEWAY_TIMEOUT", "The gateway waited in vain."),
}
ROW_QUOTA = ("API_ROW_QUOTA_EXCEEDED", "The rows of this month are used up.")
DAILY_QUOTA = ("LICENSE_DAILY_QUERY_LIMIT_EXCEEDED", "The queries of this day are used up.")


@dataclass(slots=True, eq=False)
class Refusal(Exception):
    """An answer that is not a success. `detail` is for people; `retry_after` is in seconds."""

    status: int
    detail: str = ""
    code: str = ""
    message: str = ""
    retry_after: int | None = None
    allow: str = ""

    def __post_init__(self) -> None:
        code, message = CODES[self.status]
        self.code, self.message = self.code or code, self.message or message

"""Refusals in the shape of the OCI distribution specification.

    {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "…", "detail": {…}}]}

Specification: distribution-spec 1.1, "Error Codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from chainlab.errors import ChainlabError, Refused

__all__ = ["OciError", "answer"]

CODES = {  # for refusals of lower layers, which have no OCI code
    400: "UNSUPPORTED",
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    405: "UNSUPPORTED",
    413: "SIZE_INVALID",
    429: "TOOMANYREQUESTS",
    503: "UNAVAILABLE",
}


class OciError(Refused):
    """A refusal with the specification's code."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        detail: Mapping[str, Any] | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(status, message, hint=hint)
        self.code = code
        self.detail = detail


def answer(error: ChainlabError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the response to a failed request."""
    code, detail = CODES.get(error.status, "UNSUPPORTED"), None
    if isinstance(error, OciError):
        code, detail = error.code, error.detail
    message = error.message + (f" ({error.hint})" if error.hint else "")
    entry = {"code": code, "message": message, "detail": detail}
    return JSONResponse({"errors": [entry]}, error.status, dict(headers or {}))

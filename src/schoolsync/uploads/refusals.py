"""What an upload container says no with: Azure's error codes, their HTTP status and a sentence. Values only."""

from __future__ import annotations

from collections.abc import Mapping

_CODES: dict[str, tuple[int, str]] = {
    "AuthenticationFailed": (
        403,
        "Server failed to authenticate the request. Ask uploadUrl for a new URL and use it without changes.",
    ),
    "AuthorizationPermissionMismatch": (403, "The URL does not permit this operation."),
    "BlobAlreadyExists": (409, "The specified blob already exists."),
    "BlobNotFound": (404, "The specified blob does not exist."),
    "BlockCountExceedsLimit": (409, "The blob has too many blocks that no block list names."),
    "BlockListTooLong": (400, "The block list names too many blocks."),
    "ConditionNotMet": (412, "The condition specified using HTTP conditional header(s) is not met."),
    "ContainerAlreadyExists": (409, "The specified container already exists."),
    "ContainerNotFound": (404, "The specified container does not exist: its profile was deleted."),
    "Crc64Mismatch": (400, "The CRC64 value specified in the request did not match the value of what arrived."),
    "FileCountExceedsLimit": (409, "The upload holds as many files as it may."),
    "InternalError": (500, "The server encountered an internal error. Please retry the request."),
    "InvalidBlobOrBlock": (400, "The specified blob or block content is invalid."),
    "InvalidBlobType": (409, "The blob type is invalid for this operation: only block blobs are stored."),
    "InvalidBlockList": (400, "The specified block list is invalid."),
    "InvalidHeaderValue": (400, "The value for one of the HTTP headers is not in the correct format."),
    "InvalidInput": (400, "The request's body is not complete or not well-formed."),
    "InvalidMd5": (400, "The MD5 value specified in the request is invalid: it must be 16 bytes in base64."),
    "InvalidQueryParameterValue": (400, "Value for one of the query parameters specified in the request is invalid."),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "InvalidResourceName": (400, "The specified file name is not usable."),
    "InvalidUri": (400, "The URI names no file: put the file's name behind the container, before the question mark."),
    "InvalidXmlDocument": (400, "The XML specified is not syntactically valid."),
    "Md5Mismatch": (400, "The MD5 value specified in the request did not match the value of what arrived."),
    "MetadataTooLarge": (400, "The size of the specified metadata exceeds the maximum size permitted."),
    "MissingRequiredHeader": (400, "An HTTP header that's mandatory for this request is not specified."),
    "MissingRequiredQueryParameter": (400, "A query parameter that's mandatory for this request is not specified."),
    "OperationNotAllowedWhileSynchronizing": (
        409,
        "The profile is synchronizing the files sent before: upload again when it has finished.",
    ),
    "RequestBodyTooLarge": (413, "The request body is too large and exceeds the maximum permissible limit."),
    "ServerBusy": (503, "The server is currently unable to receive requests. Please retry your request."),
    "UnsupportedHeader": (400, "One of the HTTP headers specified in the request is not supported."),
    "UnsupportedHttpVerb": (405, "The resource doesn't support the specified HTTP verb."),
    "UnsupportedXmlNode": (400, "One of the XML nodes specified in the request body is not supported."),
}


class BlobRefused(Exception):
    """A request to a container that is not granted; `details` are further elements of the XML error."""

    def __init__(self, code: str, message: str | None = None, **details: str) -> None:
        self.status, usual = _CODES[code]
        self.code = code
        self.message = message or usual
        self.details: Mapping[str, str] = details
        super().__init__(self.message)

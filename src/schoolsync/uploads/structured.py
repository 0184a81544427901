"""Azure's structured message: a body wrapped in segments, each with its own CRC64.

azure-storage-blob sends a file that way when it is asked for CRC64 checks. The wrapping is taken off and checked while
the bytes stream by; a message that is cut short, out of order or damaged is refused. Format version 1 only.
"""

from __future__ import annotations

from schoolsync.uploads.checksums import Crc64
from schoolsync.uploads.refusals import BlobRefused

HEADER = "x-ms-structured-body"
VALUE = "XSM/1.0; properties=crc64"

_MESSAGE_HEADER, _SEGMENT_HEADER, _CRC = 13, 10, 8
_WITH_CRC = 1


class Unwrapper:
    """Takes a structured message in parts and gives back what it carries."""

    def __init__(self) -> None:
        self._buffer = b""
        self._wants, self._step = _MESSAGE_HEADER, self._message_header
        self._carried = 0  # bytes left in the segment at hand
        self._segments = self._segment = 0
        self._checked = False
        self._message_crc = Crc64()
        self._segment_crc = Crc64()
        self._complete = False

    def feed(self, data: bytes) -> bytes:
        """The content in the next bytes of the message."""
        self._buffer += data
        content: list[bytes] = []
        while True:
            if self._carried:
                taken, self._buffer = self._buffer[: self._carried], self._buffer[self._carried :]
                if not taken:
                    break
                content.append(self._take(taken))
            elif self._complete:
                if self._buffer:
                    raise BlobRefused("InvalidInput")
                break
            else:
                if len(self._buffer) < self._wants:
                    break
                part, self._buffer = self._buffer[: self._wants], self._buffer[self._wants :]
                self._step(part)
        return b"".join(content)

    def finish(self) -> None:
        """The message is over; refuses one that is not whole."""
        if not self._complete:
            raise BlobRefused("InvalidInput")

    def _take(self, content: bytes) -> bytes:
        self._carried -= len(content)
        if self._checked:
            self._segment_crc.update(content)
            self._message_crc.update(content)
        if not self._carried:
            self._after_content()
        return content

    def _message_header(self, part: bytes) -> None:
        flags = int.from_bytes(part[9:11], "little")
        if part[0] != 1 or flags not in {0, _WITH_CRC}:
            raise BlobRefused("InvalidInput")
        self._checked = flags == _WITH_CRC
        self._segments = int.from_bytes(part[11:13], "little")
        self._next_segment()

    def _next_segment(self) -> None:
        if self._segment < self._segments:
            self._wants, self._step = _SEGMENT_HEADER, self._segment_header
        elif self._checked:
            self._wants, self._step = _CRC, self._message_footer
        else:
            self._complete = True

    def _segment_header(self, part: bytes) -> None:
        self._segment += 1
        if int.from_bytes(part[:2], "little") != self._segment:
            raise BlobRefused("InvalidInput")
        self._carried = int.from_bytes(part[2:], "little")
        self._segment_crc = Crc64()
        if not self._carried:
            self._after_content()

    def _after_content(self) -> None:
        if self._checked:
            self._wants, self._step = _CRC, self._segment_footer
        else:
            self._next_segment()

    def _segment_footer(self, part: bytes) -> None:
        if part != self._segment_crc.digest():
            raise BlobRefused("Crc64Mismatch")
        self._next_segment()

    def _message_footer(self, part: bytes) -> None:
        if part != self._message_crc.digest():
            raise BlobRefused("Crc64Mismatch")
        self._complete = True

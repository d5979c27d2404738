"""Talks to a served kernel: frames and messages, byte by byte.

The same as crates/protocol/src/frame.rs and crates/protocol/src/control.rs, written a second time on purpose: a client that
attacks must be able to send what no honest one can. Messages are postcard: integers as varints, text and lists after
their length, options after 0 or 1, enums by the number of their variant.
"""

import socket
import struct

MARK = b"BFm\x01"
HEADER_SIZE = 12
MAX_CHUNK = 32 << 10

# The requests' numbers, in the order of `Request`.
HELLO, GOODBYE, LIST, STATS, UPLOAD, CHUNK, PUSH, LOAD, FILES, SAVE, CALL, UNLOAD, ACTIVATE, COMPARE, LOG, SHUTDOWN, MEMORY = range(17)

# The numbers of those variants of `Response` that are used here.
WELCOME, RECEIVED, MODULES, LOADED, CALLED, UNLOADED, PROGRESS, DONE, REFUSED, MEMORY_IN_USE = 0, 1, 2, 3, 5, 6, 11, 12, 13, 14

# `Message::Response`.
ANSWER = 3


def _table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


CRC_TABLE = tuple(_table())


def crc32c(data):
    state = 0xFFFFFFFF
    for byte in data:
        state = state >> 8 ^ CRC_TABLE[(state ^ byte) & 0xFF]
    return state ^ 0xFFFFFFFF


def varint(number):
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(encoded) + bytes([number])


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return varint(len(data)) + data


def option(encoded):
    return b"\0" if encoded is None else b"\1" + encoded


def wish(domain=None, budget=None):
    """`LoadOverrides`; a budget is microseconds, and bytes of stack, heap, data and linear memory."""
    limits = None if budget is None else b"".join(map(varint, budget))
    return option(None if domain is None else text(domain)) + option(limits) + option(None) + text("") + option(None)


def push(label="attack", gate=None, **how):
    """`Request::Push`, replacing the module of the same name."""
    return varint(PUSH) + text(label) + wish(**how) + b"\0" + option(gate)


def call(module, given=b""):
    return varint(CALL) + text(module) + text(given) + varint(1)


def frame(payload):
    length = struct.pack("<I", len(payload))
    return MARK + length + struct.pack("<I", crc32c(length + payload)) + payload


class Reader:
    """Reads an answer from its beginning."""

    def __init__(self, data):
        self.rest = data

    def number(self):
        value = shift = 0
        while True:
            byte, self.rest = self.rest[0], self.rest[1:]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self):
        number = self.number()
        return number >> 1 ^ -(number & 1)

    def bytes(self):
        length = self.number()
        data, self.rest = self.rest[:length], self.rest[length:]
        return data


class Response:
    """An answer: its kind, and the fields of the kinds that are used here."""

    def __init__(self, payload):
        reader = Reader(payload)
        if reader.number() != ANSWER:
            raise ValueError("a message that is no answer")
        self.number, self.kind = reader.number(), reader.number()
        self.raw, self.error, self.result, self.output = reader.rest, "", None, b""
        if self.kind == REFUSED:
            self.error = reader.bytes().decode(errors="replace")
        elif self.kind == MODULES:
            self.count = reader.number()
        elif self.kind == MEMORY_IN_USE:
            self.pages, self.arena_bytes, self.table_bytes = (reader.number() for _ in range(3))
        elif self.kind == CALLED:
            reader.bytes(), reader.bytes(), reader.number(), reader.number()
            self.result = reader.signed()
            for _ in range(reader.number()):
                reader.signed(), reader.number()
            self.output = reader.bytes()


class Client:
    """One connection to the broker. `loaded` has the names of modules that were loaded and not unloaded."""

    def __init__(self, path, timeout, loaded):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.received, self.asked, self.loaded = b"", 0, loaded

    def send(self, request):
        self.asked += 1
        self.socket.sendall(frame(varint(self.asked) + request))

    def answer(self):
        """The next answer that is not only a report of progress."""
        while True:
            while len(self.received) < HEADER_SIZE or len(self.received) < HEADER_SIZE + self._length():
                more = self.socket.recv(1 << 16)
                if not more:
                    raise ConnectionError("the connection ended")
                self.received += more
            end = HEADER_SIZE + self._length()
            payload, self.received = self.received[HEADER_SIZE:end], self.received[end:]
            answer = Response(payload)
            if answer.kind != PROGRESS:
                return answer

    def _length(self):
        return struct.unpack_from("<I", self.received, 4)[0]

    def ask(self, request):
        self.send(request)
        return self.answer()

    def upload(self, blob):
        self.ask(varint(UPLOAD) + varint(len(blob)) + varint(crc32c(blob)))
        for start in range(0, len(blob), MAX_CHUNK):
            self.ask(varint(CHUNK) + varint(start) + text(blob[start : start + MAX_CHUNK]))

    def push(self, blob, **how):
        self.upload(blob)
        answer = self.ask(push(**how))
        if answer.kind == LOADED:
            self.loaded.add(blob[24:56].rstrip(b"\0").decode())
        return answer

    def call(self, module, given=b""):
        return self.ask(call(module, given))

    def unload(self, module):
        self.loaded.discard(module)
        return self.ask(varint(UNLOAD) + text(module))

    def close(self):
        self.socket.close()

"""Bytes: variable-length numbers, fields, packets."""

import struct

from .errors import ProtocolError

REQUEST, RESPONSE, ONE_WAY = 1, 2, 3
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def int_field(tag, number):
    """A number; 0 is left out."""
    return varint(tag << 3) + varint(number) if number else b""


def fixed64(tag, number):
    return fixed64_element(tag, number) if number else b""


def fixed64_element(tag, number):
    return varint(tag << 3 | _FIXED64) + struct.pack("<Q", number & (1 << 64) - 1)


def fixed32(tag, number):
    return varint(tag << 3 | _FIXED32) + struct.pack("<I", number) if number else b""


def bytes_field(tag, value):
    """Bytes; nothing is left out."""
    return element(tag, value) if value else b""


def element(tag, value):
    return varint(tag << 3 | _BYTES) + varint(len(value)) + value


def signed32(number):
    number &= (1 << 32) - 1
    return number - (1 << 32) if number >> 31 else number


def fields(data):
    """The fields of a message in order: number and value, an integer or bytes."""
    position = 0
    try:
        while position < len(data):
            key, position = _read_varint(data, position)
            kind, tag = key & 7, key >> 3
            if kind == _VARINT:
                value, position = _read_varint(data, position)
            elif kind == _FIXED64:
                (value,) = struct.unpack_from("<Q", data, position)
                position += 8
            elif kind == _FIXED32:
                (value,) = struct.unpack_from("<I", data, position)
                position += 4
            elif kind == _BYTES:
                length, position = _read_varint(data, position)
                value = data[position : position + length]
                position += length
                if len(value) < length:
                    raise ProtocolError("a field goes beyond the end of its message")
            else:
                raise ProtocolError(f"wire type {kind}")
            yield tag, value
    except (IndexError, struct.error) as error:
        raise ProtocolError("a message is cut short") from error


def _read_varint(data, position):
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & (1 << 64) - 1, position
        shift += 7
        if shift > 63:
            raise ProtocolError("a number is too long")


class Packet:
    """One packet, in either direction."""

    __slots__ = ("kind", "command", "seq", "code", "result", "text", "nanos", "extra", "body")

    def __init__(self, kind, command, seq, body=b"", nanos=0, result=0):
        self.kind, self.command, self.seq = kind, command, seq
        self.code, self.result, self.text = 0, result, b""
        self.nanos, self.extra, self.body = nanos, b"", body

    def encode(self):
        """The frame: length, then the packet."""
        packet = (
            int_field(1, self.kind)
            + int_field(2, self.command)
            + fixed32(3, self.seq)
            + int_field(4, self.code)
            + int_field(5, self.result)
            + fixed64(7, self.nanos)
            + bytes_field(15, self.body)
        )
        return struct.pack(">I", len(packet)) + packet

    @staticmethod
    def decode(data):
        packet = Packet(0, 0, 0)
        names = {1: "kind", 2: "command", 3: "seq", 4: "code", 5: "result", 6: "text"}
        names.update({7: "nanos", 8: "extra", 15: "body"})
        for tag, value in fields(data):
            if tag not in names:
                continue
            if isinstance(value, int) != (tag not in (6, 8, 15)):
                continue
            small = isinstance(value, int) and tag != 7
            setattr(packet, names[tag], signed32(value) if small else value)
        return packet

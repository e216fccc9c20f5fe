"""One connection to one server."""

import asyncio
import struct

from .errors import ProtocolError
from .wire import ONE_WAY, REQUEST, RESPONSE, Packet, element, fixed64, int_field

HANDSHAKE = 2
PACKET_BYTES_MAX = 8 << 20


class Disconnected(Exception):
    """The connection broke, or never was."""


class Connection:
    """Sends requests, finds their answers, hands over what the server sends on its own."""

    def __init__(self, reader, writer, pushed):
        self._reader, self._writer, self._pushed = reader, writer, pushed
        self._seq, self._waiting = 0, {}
        self.closed = asyncio.get_running_loop().create_future()
        self._task = asyncio.ensure_future(self._read())

    @staticmethod
    async def open(host, port, identity, pushed, timeout):
        try:
            opening = asyncio.open_connection(host, port)
            reader, writer = await asyncio.wait_for(opening, timeout)
        except (OSError, asyncio.TimeoutError) as error:
            raise Disconnected(str(error)) from error
        connection = Connection(reader, writer, pushed)
        process = fixed64(1, identity >> 64) + fixed64(2, identity & (1 << 64) - 1)
        hello = fixed64(1, 0xAE1090451C22DA13) + fixed64(2, 0x1CD7D1A30A61935F)
        hello += int_field(3, 1) + element(5, process)
        try:
            await connection.call(HANDSHAKE, hello, timeout)
        except asyncio.TimeoutError as error:
            await connection.close()
            raise Disconnected("no handshake") from error
        return connection

    @property
    def is_open(self):
        return not self.closed.done()

    async def call(self, command, body, timeout):
        """The answer to a request. `Disconnected` or `asyncio.TimeoutError` if there is none."""
        if not self.is_open:
            raise Disconnected("the connection is closed")
        self._seq = self._seq % 0x7FFFFFFF + 1
        seq, nanos = self._seq, max(1, int(timeout * 1e9))
        answer = asyncio.get_running_loop().create_future()
        self._waiting[seq] = answer
        try:
            self._writer.write(Packet(REQUEST, command, seq, body, nanos).encode())
            packet = await asyncio.wait_for(answer, timeout)
        finally:
            self._waiting.pop(seq, None)
        if packet.command != command:
            raise ProtocolError(f"asked for {command}, got an answer to {packet.command}")
        return packet

    def respond(self, packet, body=b"", result=0):
        if self.is_open:
            answer = Packet(RESPONSE, packet.command, packet.seq, body, result=result)
            self._writer.write(answer.encode())

    async def close(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self):
        reason = "the connection broke"
        try:
            while True:
                (length,) = struct.unpack(">I", await self._reader.readexactly(4))
                if length > PACKET_BYTES_MAX:
                    raise ProtocolError(f"a packet of {length} bytes")
                packet = Packet.decode(await self._reader.readexactly(length))
                if packet.kind == RESPONSE:
                    answer = self._waiting.get(packet.seq)
                    if answer and not answer.done():
                        answer.set_result(packet)
                elif packet.kind in (REQUEST, ONE_WAY):
                    self._pushed(self, packet)
        except (OSError, EOFError, ProtocolError) as error:
            reason = str(error) or reason
        finally:
            self._writer.close()
            if not self.closed.done():
                self.closed.set_result(reason)
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(Disconnected(reason))

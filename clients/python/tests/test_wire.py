"""Bytes against frames that other programs have exchanged; needs no server."""

import unittest

from dongting.errors import InvalidArgument, ProtocolError
from dongting.messages import Condition, KvResponse, Step, key_bytes, kv_request, millis
from dongting.messages import watch_events, watch_request
from dongting.wire import REQUEST, Packet, fields, varint


class WireTest(unittest.TestCase):
    def test_a_put_has_the_bytes_of_other_clients(self):
        body = kv_request(0, b"k1", b"v1")
        frame = Packet(REQUEST, 6, 4, body, 4_993_942_066).encode()
        expected = "0000001c080110061d04000000393282a929010000007a0812026b311a027631"
        self.assertEqual(frame.hex(), expected)

    def test_answers_are_read(self):
        frame = bytes.fromhex(
            "080210051d060000007a2e10011a2a122809bb000000000000001112c9cb06a201000019bc0000000000"
            "0000218fc9cb06a20100007a027632"
        )
        packet = Packet.decode(frame)
        self.assertEqual((packet.command, packet.seq, packet.code), (5, 6, 0))
        (node,) = KvResponse(packet.body).nodes
        self.assertEqual((node.value, node.create_index, node.update_index), (b"v2", 187, 188))

    def test_watches_are_asked_for_and_told(self):
        body = watch_request(0, {b"w.x": 0, b"k1": 7})
        self.assertEqual(
            body.hex(),
            "10011802" "210000000000000000" "210700000000000000" "2a03772e78" "2a026b31",
        )
        push = bytes.fromhex(
            "10021a1309ed0000000000000010011a03772e782201331a0e09ed0000000000000010021a0177"
        )
        group, events = watch_events(push)
        told = [(key, state.index, state.state, state.value) for key, state in events]
        self.assertEqual(group, 0)
        self.assertEqual(told, [(b"w.x", 237, "value", b"3"), (b"w", 237, "directory", b"")])

    def test_every_cut_is_an_error_or_a_shorter_message(self):
        body = kv_request(7, b"key", b"value", ttl=300, keys=[b"a", b"b"])
        for cut in range(len(body)):
            try:
                self.assertLess(len(list(fields(body[:cut]))), len(list(fields(body))))
            except ProtocolError:
                pass
        with self.assertRaises(ProtocolError):
            list(fields(b"\x08" + b"\xff" * 11))
        self.assertEqual(varint(-1), b"\xff" * 9 + b"\x01")

    def test_what_no_server_would_accept_is_refused(self):
        for key in ("", ".a", "a.", "a..b", "a b", "k" * 8193):
            with self.assertRaises(InvalidArgument):
                key_bytes(key)
        for seconds in (0, -1, 36_500 * 86_400 + 1):
            with self.assertRaises(InvalidArgument):
                millis(seconds)
        self.assertEqual(millis(0.0001), 1)
        with self.assertRaises(InvalidArgument):
            Condition("k", "size").encode()
        with self.assertRaises(InvalidArgument):
            Step("put", "k", b"").encode()


if __name__ == "__main__":
    unittest.main()

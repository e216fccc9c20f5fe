"""The calls that both clients have: what each sends, and how its answer is read."""

import asyncio

from .errors import ProtocolError, Refused
from .messages import (
    InvalidArgument,
    KvResponse,
    TransactionReply,
    Written,
    check_value,
    key_bytes,
    kv_request,
    millis,
    to_bytes,
)
from .wire import element, int_field

READ, WRITE = False, True


def _code(packet, *fine):
    if packet.result not in (0, *fine):
        raise Refused(packet.result, packet.text.decode(errors="replace"))
    return packet.result


def _written(*fine, absent=()):
    def read(packet):
        code = _code(packet, *fine)
        return Written(KvResponse(packet.body).index, code not in absent)

    return read


class Calls:
    """Each method hands a command, a body, its access and a reader to `_call`."""

    group = 0

    def _call(self, command, body, access, read):
        raise NotImplementedError

    def get(self, key):
        """The node with this key, the empty one being the root's; None if there is none."""
        body = kv_request(self.group, key_bytes(key, root=True))

        def read(packet):
            return None if _code(packet, 2) == 2 else _only(KvResponse(packet.body).nodes)

        return self._call(5, body, READ, read)

    def list(self, key=""):
        """The children of a directory, each with its name."""
        body = kv_request(self.group, key_bytes(key, root=True))

        def read(packet):
            _code(packet)
            return KvResponse(packet.body).nodes

        return self._call(72, body, READ, read)

    def put(self, key, value):
        """Sets a value."""
        value = to_bytes(value)
        check_value(value)
        body = kv_request(self.group, key_bytes(key), value)
        return self._call(6, body, WRITE, _written(3, absent=(3,)))

    def remove(self, key):
        """Removes a node; `created` is false, and the reply is None if there was none."""
        body = kv_request(self.group, key_bytes(key))

        def read(packet):
            missing = _code(packet, 2) == 2
            return None if missing else Written(KvResponse(packet.body).index, False)

        return self._call(70, body, WRITE, read)

    def mkdir(self, key):
        """Makes a directory; one that is there already is fine."""
        return self._call(71, kv_request(self.group, key_bytes(key)), WRITE, _written(4, absent=(4,)))

    def compare_and_set(self, key, expected, new):
        """Sets a value if it is the expected one, None standing for no node; whether it did."""
        if expected is None and new is None:
            raise InvalidArgument("nothing is expected and nothing is set")
        expected, new = to_bytes(expected or b""), to_bytes(new or b"")
        body = kv_request(self.group, key_bytes(key), new, expected)
        return self._call(76, body, WRITE, lambda packet: _code(packet, 14) == 0)

    def put_temporary(self, key, value, ttl):
        """Sets a value that the server removes after `ttl` seconds."""
        value = to_bytes(value)
        check_value(value)
        body = kv_request(self.group, key_bytes(key), value, ttl=millis(ttl))
        return self._call(80, body, WRITE, _written(3, absent=(3,)))

    def make_temporary_directory(self, key, ttl):
        """Makes a directory that the server removes after `ttl` seconds, with all below it."""
        body = kv_request(self.group, key_bytes(key), ttl=millis(ttl))
        return self._call(81, body, WRITE, _written(4, absent=(4,)))

    def update_ttl(self, key, ttl):
        """Starts the time of something temporary anew."""
        body = kv_request(self.group, key_bytes(key), ttl=millis(ttl))
        return self._call(82, body, WRITE, _written())

    def transact(self, conditions=(), then=(), otherwise=()):
        """Does one of two lists of steps as a whole. `Refused` says that nothing was done."""
        body = int_field(1, self.group)
        body += b"".join(element(2, condition.encode()) for condition in conditions)
        body += b"".join(element(3, step.encode()) for step in then)
        body += b"".join(element(4, step.encode()) for step in otherwise)

        def read(packet):
            _code(packet)
            response = KvResponse(packet.body)
            if response.branch not in (1, 2):
                raise ProtocolError("the branch is missing")
            return TransactionReply(response.index, response.branch == 1, response.nodes)

        return self._call(1100, body, WRITE, read)


def _only(nodes):
    if len(nodes) != 1 or nodes[0] is None:
        raise ProtocolError("the node is missing")
    return nodes[0]


def remaining(deadline):
    return deadline - asyncio.get_running_loop().time()

"""Messages about the tree, and the values that calls return."""

import dataclasses
import typing

from .errors import InvalidArgument
from .wire import bytes_field, element, fields, fixed64, fixed64_element, int_field, signed32

KEY_BYTES_MAX = 8192
VALUE_BYTES_MAX = 1 << 20
TTL_MS_MAX = 36_500 * 24 * 60 * 60 * 1000

SUBJECTS = {"exists": 0, "value": 1, "update_index": 2, "create_index": 3, "fencing_token": 4}
RELATIONS = {"=": 0, "!=": 1, "<": 2, ">": 3}
KINDS = {
    "put": 0,
    "remove": 2,
    "mkdir": 3,
    "get": 5,
    "put_temporary": 11,
    "make_temporary_directory": 12,
    "update_ttl": 14,
}


@dataclasses.dataclass(frozen=True)
class Node:
    """What a read finds."""

    value: bytes
    is_directory: bool
    is_temporary: bool
    is_lock: bool
    create_index: int
    update_index: int
    create_time_ms: int
    update_time_ms: int
    name: bytes = b""


@dataclasses.dataclass(frozen=True)
class Written:
    """What a write did: its index in the log, and whether something is there that was not."""

    index: int
    created: bool


@dataclasses.dataclass(frozen=True)
class KeyState:
    """The latest state of a watched key: `missing`, `value` or `directory`."""

    index: int
    state: str
    value: bytes = b""


@dataclasses.dataclass(frozen=True)
class Condition:
    """What has to hold of a key: `Condition("k", "value", "=", b"v")`."""

    key: typing.Union[str, bytes]
    subject: str
    relation: str = "="
    operand: typing.Union[int, bytes, str] = 1

    def encode(self):
        if self.subject not in SUBJECTS or self.relation not in RELATIONS:
            raise InvalidArgument(f"no such condition: {self.subject} {self.relation}")
        is_value = self.subject == "value"
        return (
            bytes_field(1, key_bytes(self.key, root=True))
            + int_field(2, SUBJECTS[self.subject])
            + int_field(3, RELATIONS[self.relation])
            + (b"" if is_value else fixed64(4, int(self.operand)))
            + (bytes_field(5, to_bytes(self.operand)) if is_value else b"")
        )


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a transaction: `Step("put", "k", b"v")`."""

    kind: str
    key: typing.Union[str, bytes]
    value: typing.Union[str, bytes] = b""
    ttl: float = 0.0

    def encode(self):
        if self.kind not in KINDS:
            raise InvalidArgument(f"no such step: {self.kind}")
        timed = self.kind in ("put_temporary", "make_temporary_directory", "update_ttl")
        value = to_bytes(self.value)
        if self.kind in ("put", "put_temporary"):
            check_value(value)
        return (
            int_field(1, KINDS[self.kind])
            + bytes_field(2, key_bytes(self.key, root=self.kind == "get"))
            + bytes_field(3, value)
            + int_field(4, millis(self.ttl) if timed else 0)
        )


@dataclasses.dataclass(frozen=True)
class TransactionReply:
    """Whether the conditions held, and for each step of the list that was done what it found."""

    index: int
    held: bool
    nodes: typing.List[typing.Optional[Node]]


def to_bytes(value):
    return value.encode() if isinstance(value, str) else bytes(value)


def key_bytes(key, root=False):
    key = to_bytes(key)
    if not key and root:
        return key
    if not key or len(key) > KEY_BYTES_MAX or b" " in key or b"" in key.split(b"."):
        raise InvalidArgument(f"invalid key {key[:80]!r}")
    return key


def check_value(value):
    if not value or len(value) > VALUE_BYTES_MAX:
        raise InvalidArgument("a value has 1 byte to 1 MiB")


def millis(seconds):
    """Whole milliseconds, rounded up, so that nothing ends early."""
    result = -int(-seconds * 1000 // 1)
    if not 1 <= result <= TTL_MS_MAX:
        raise InvalidArgument("a time to live or lease is from 1 ms to 36500 days")
    return result


def kv_request(group, key=b"", value=b"", expect=b"", ttl=0, keys=(), values=()):
    body = int_field(1, group) + bytes_field(2, key) + bytes_field(3, value)
    body += bytes_field(4, expect) + int_field(7, ttl) + int_field(8, len(keys))
    body += b"".join(element(9, one) for one in keys)
    return body + b"".join(element(10, one) for one in values)


class KvResponse:
    """The answer to a request about the tree."""

    def __init__(self, body):
        self.index = self.token = self.branch = 0
        self.codes, self.nodes = [], []
        for tag, value in fields(body):
            if tag == 1:
                self.index = value
            elif tag == 3:
                code, node, name = 0, None, b""
                for inner, content in fields(value):
                    if inner == 1:
                        code = signed32(content)
                    elif inner == 2:
                        node = content
                    elif inner == 3:
                        name = content
                self.codes.append(code)
                self.nodes.append(None if node is None else _node(node, name))
            elif tag == 102:
                self.token = value
            elif tag == 103:
                self.branch = signed32(value)


def _node(body, name):
    numbers = {tag: value for tag, value in fields(body)}
    flags = numbers.get(5, 0)
    return Node(
        value=numbers.get(15, b""),
        is_directory=bool(flags & 1),
        is_lock=bool(flags & 2),
        is_temporary=bool(flags & 4),
        create_index=numbers.get(1, 0),
        create_time_ms=numbers.get(2, 0),
        update_index=numbers.get(3, 0),
        update_time_ms=numbers.get(4, 0),
        name=name,
    )


def watch_request(group, known):
    """Exactly these keys are watched afterwards, each with the index that is known of it."""
    body = int_field(1, group) + int_field(2, 1) + int_field(3, len(known))
    body += b"".join(fixed64_element(4, index) for index in known.values())
    return body + b"".join(element(5, key) for key in known)


def watch_events(body):
    """The group, and key and state of each event."""
    group, events = 0, []
    for tag, value in fields(body):
        if tag == 1:
            group = signed32(value)
        elif tag == 3:
            event = dict(fields(value))
            state = {1: "value", 2: "directory"}.get(event.get(2, 0), "missing")
            state = KeyState(event.get(1, 0), state, event.get(4, b""))
            events.append((event.get(3, b""), state))
    return group, events

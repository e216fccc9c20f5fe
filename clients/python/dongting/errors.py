"""How a call can fail, sorted by what the caller can do about it."""

RESULTS = {
    2: "not found",
    4: "a directory is there already",
    5: "a value is there already",
    6: "it, or its parent, is a value and not a directory",
    7: "invalid key",
    8: "invalid value",
    9: "the parent does not exist",
    10: "the directory is not empty",
    11: "the key is too long",
    12: "the value is too long",
    13: "the server is loading a snapshot",
    14: "the value is not the expected one",
    15: "the request makes no sense",
    18: "it belongs to another client",
    19: "it is not temporary",
    20: "it is temporary",
    21: "invalid time to live",
    23: "nothing temporary below a temporary directory",
    24: "it is below a lock",
    25: "it is not a lock",
    26: "it is a lock",
    28: "another client holds the lock",
}


class DongtingError(Exception):
    """The base of all errors of this package."""


class InvalidArgument(DongtingError, ValueError):
    """No server would accept the call; it was not sent."""


class Refused(DongtingError):
    """The tree refused the call, and will again while it is as it is."""

    def __init__(self, code, text=""):
        super().__init__(text or RESULTS.get(code, f"result {code}"))
        self.code = code


class Rejected(DongtingError):
    """The server cannot take such a request."""


class Unavailable(DongtingError):
    """Nothing was changed: repeating the call is safe."""


class OutcomeUnknown(DongtingError):
    """A write was sent and its answer was lost: it may have been done, or may still be."""


class ProtocolError(DongtingError):
    """The server's answer makes no sense."""


class LockLost(DongtingError):
    """The lock is not held any more, by this client's own clock."""

"""Client of the key-value server dongting: standard library only, for threads and for asyncio.

`Client` is for programs with threads, `AsyncClient` for asyncio; both have the same calls.
"""

from .aio import AsyncClient, Lock, Watch
from .client import Client
from .errors import (
    DongtingError,
    InvalidArgument,
    LockLost,
    OutcomeUnknown,
    ProtocolError,
    Refused,
    Rejected,
    Unavailable,
)
from .messages import Condition, KeyState, Node, Step, TransactionReply, Written

__all__ = [
    "AsyncClient",
    "Client",
    "Condition",
    "DongtingError",
    "InvalidArgument",
    "KeyState",
    "Lock",
    "LockLost",
    "Node",
    "OutcomeUnknown",
    "ProtocolError",
    "Refused",
    "Rejected",
    "Step",
    "TransactionReply",
    "Unavailable",
    "Watch",
    "Written",
]

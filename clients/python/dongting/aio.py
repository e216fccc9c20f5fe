"""The client for asyncio."""

import asyncio
import secrets

from .calls import WRITE, Calls, remaining
from .connection import Connection, Disconnected
from .errors import InvalidArgument, LockLost, OutcomeUnknown, Refused, Rejected, Unavailable
from .messages import KvResponse, key_bytes, kv_request, millis, watch_events, watch_request
from .wire import fields, fixed32, signed32

NOT_EXECUTED = (4, 5, 7, 8, 9, 10)
SEARCH_PAUSE = 0.1
KEEP_ALIVE = 15.0
# What a client counts of a lease that a server measures with its own clock.
CLOCK_DRIFT = 0.99


class AsyncClient(Calls):
    """A client that any number of tasks of one event loop may use.

    `servers` maps node ids to `(host, port)` of the service ports. It connects with the first call.
    """

    def __init__(self, servers, group=0, timeout=5.0, identity=None):
        if not servers:
            raise InvalidArgument("no server is given")
        self.servers, self.group, self.timeout = dict(servers), group, timeout
        # Owns what is temporary, and locks; neither half may be zero.
        self.identity = identity or secrets.randbits(128) | 1 << 64 | 1
        self._links, self._opening, self._leader = {}, {}, None
        self._locks, self._watches = {}, {}
        self._changed, self._watcher, self._closing = asyncio.Event(), None, False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def close(self):
        """Gives back the locks that are held and closes all connections."""
        for lock in list(self._locks.values()):
            try:
                await lock.unlock()
            except (Unavailable, OutcomeUnknown):
                pass
        self._closing = True
        if self._watcher:
            # Not by cancelling it: what it waits for at that moment might swallow that.
            self._changed.set()
            await asyncio.gather(self._watcher, return_exceptions=True)
        for link in list(self._links.values()):
            await link.close()

    async def lock(self, key, lease, wait=None):
        """Takes a lock, waiting `wait` seconds for it, for ever if None; None if it is another's.

        The lease is renewed until `Lock.unlock`. A client has one lock object for a key.
        """
        key = key_bytes(key)
        millis(lease)
        if key in self._locks:
            raise InvalidArgument("this client locks this key already")
        lock = self._locks[key] = Lock(self, key, lease)
        try:
            got = await lock._acquire(wait)
        except BaseException:
            await asyncio.shield(lock.unlock(quietly=True))
            raise
        if not got:
            await lock.unlock(quietly=True)
        return lock if got else None

    def watch(self, key, known_index=0):
        """Watches a key: `async for state in client.watch("k")`, the latest state and each newer
        one; states in between are left out. `known_index` is that of a state known from before."""
        key = key_bytes(key)
        if key in self._watches:
            raise InvalidArgument("this client watches this key already")
        watch = self._watches[key] = Watch(self, key, known_index)
        self._changed.set()
        if self._watcher is None:
            self._watcher = asyncio.ensure_future(self._keep_watches())
        return watch

    async def _call(self, command, body, access, read):
        deadline = asyncio.get_running_loop().time() + self.timeout
        repeated = False
        while True:
            link = await self._find_leader(deadline)
            try:
                packet = await link.call(command, body, max(0.001, remaining(deadline)))
            except (Disconnected, asyncio.TimeoutError) as error:
                self._leader = None
                kind = OutcomeUnknown if access == WRITE else Unavailable
                raise kind(str(error) or "no answer in time") from error
            if packet.code == 0:
                return read(packet)
            text = packet.text.decode(errors="replace") or f"code {packet.code}"
            if packet.code in NOT_EXECUTED and not repeated:
                repeated = True
                hint = packet.extra.decode(errors="replace")
                self._leader = int(hint) if hint.isdecimal() and int(hint) in self.servers else None
                continue
            if packet.code in (1, 3):
                raise Rejected(text)
            if packet.code == 6 or packet.code in NOT_EXECUTED or access != WRITE:
                raise Unavailable(text)
            raise OutcomeUnknown(text)

    async def _link(self, node, timeout):
        link = self._links.get(node)
        if link and link.is_open:
            return link
        if node not in self._opening:
            host, port = self.servers[node]
            opening = Connection.open(host, port, self.identity, self._pushed, min(3.0, timeout))
            self._opening[node] = asyncio.ensure_future(opening)
        opening = self._opening[node]
        try:
            link = await asyncio.shield(opening)
        finally:
            if opening.done():
                self._opening.pop(node, None)
        self._links[node] = link
        return link

    async def _find_leader(self, deadline):
        """A link to the leader, within the time."""
        reason = "no server can be reached"
        while remaining(deadline) > 0:
            if self._leader is not None:
                try:
                    return await self._link(self._leader, remaining(deadline))
                except Disconnected:
                    self._leader = None
            asked = [self._ask(node, min(1.0, remaining(deadline))) for node in self.servers]
            answers = [answer for answer in await asyncio.gather(*asked) if answer]
            leaders = [(term, leader) for term, leader in answers if leader in self.servers]
            if leaders:
                self._leader = max(leaders)[1]
                continue
            reason = "no leader was found" if answers else reason
            await asyncio.sleep(max(0.0, min(SEARCH_PAUSE, remaining(deadline))))
        raise Unavailable(reason)

    async def _ask(self, node, timeout):
        """Term and leader as a server sees them; None if it does not say."""
        try:
            link = await self._link(node, timeout)
            packet = await link.call(46, fixed32(1, self.group), max(0.001, timeout))
        except (Disconnected, asyncio.TimeoutError):
            return None
        status = dict(fields(packet.body))
        return (status.get(4, 0), status.get(5, 0)) if packet.code == 0 else None

    def _pushed(self, link, packet):
        if packet.command == 78:
            self._notified(link, packet)
        elif packet.command == 85:
            push = dict(fields(packet.body))
            lock = self._locks.get(push.get(2, b""))
            if lock and signed32(push.get(1, 0)) == self.group:
                lock._granted(push.get(3, b""), push.get(7, 0), push.get(102, 0))
        elif packet.kind == 1:
            link.respond(packet, packet.body if packet.command == 1 else b"")

    def _notified(self, link, packet):
        group, events = watch_events(packet.body)
        if group != self.group or not self._watches or link is not self._links.get(self._leader):
            return link.respond(packet, result=17)
        results = b""
        for key, state in events:
            watch = self._watches.get(key)
            # Each result is written, also if it is 0.
            results += b"\x08\x00" if watch else b"\x08\x10"
            if watch:
                watch._tell(state)
        link.respond(packet, results)

    async def _keep_watches(self):
        """Registers the watches on the leader, again whenever it is another one or forgets them."""
        while not self._closing:
            self._changed.clear()
            if not self._watches:
                await self._changed.wait()
                continue
            loop = asyncio.get_running_loop()
            try:
                link = await self._find_leader(loop.time() + self.timeout)
                known = {key: watch.known_index for key, watch in self._watches.items()}
                packet = await link.call(77, watch_request(self.group, known), self.timeout)
                if packet.code or packet.result:
                    self._refuse_watches(packet)
                    await asyncio.sleep(SEARCH_PAUSE)
                    continue
                link.closed.add_done_callback(lambda _: self._changed.set())
                while not self._changed.is_set() and link is self._links.get(self._leader):
                    try:
                        await asyncio.wait_for(self._changed.wait(), KEEP_ALIVE)
                    except asyncio.TimeoutError:
                        if not await self._are_watched(link, len(known)):
                            break
            except (Unavailable, Disconnected, asyncio.TimeoutError):
                self._leader = None
                if not self._closing:
                    await asyncio.sleep(SEARCH_PAUSE)

    async def _are_watched(self, link, count):
        packet = await link.call(79, fixed32(1, self.group), self.timeout)
        if packet.code:
            return False
        status = dict(fields(packet.body))
        raft = dict(fields(status.get(1, b"")))
        if self.servers.get(raft.get(5, 0)) is None or self._links.get(raft.get(5, 0)) is not link:
            # Another one leads, or the server is cut off and would tell of nothing.
            self._leader = None
        return status.get(2, 0) >= count

    def _refuse_watches(self, packet):
        """Asking again does not help what the server cannot take."""
        if packet.code in (1, 3, 6) or packet.result in (7, 15):
            error = Refused(packet.result, packet.text.decode(errors="replace") or "too many")
            for watch in list(self._watches.values()):
                watch._end(error)
        else:
            self._leader = None


class Lock:
    """A lock that a client holds; see `AsyncClient.lock`."""

    def __init__(self, client, key, lease):
        self._client, self._key, self._lease = client, key, lease
        self._attempt, self._attempt_at, self._until = 0, 0.0, None
        self._number = secrets.randbits(32)
        self._push, self._renewer, self._released = asyncio.Event(), None, False
        self.fencing_token = 0

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.unlock()

    @property
    def remaining(self):
        """Seconds for which the lock is held for sure, by this client's clock, which ends before
        the server's; 0 if it is not held."""
        if self._until is None:
            return 0.0
        return max(0.0, self._until - asyncio.get_running_loop().time())

    @property
    def is_held(self):
        return self.remaining > 0

    async def lost(self):
        """Waits until the lock is not held any more."""
        while self.is_held:
            await asyncio.sleep(min(self.remaining, self._lease / 20))

    def check(self):
        """Raises `LockLost` unless the lock is held at this moment."""
        if not self.is_held:
            raise LockLost(f"the lock {self._key!r} is not held")

    async def unlock(self, quietly=False):
        """Gives the lock back, or the place in its queue."""
        if self._client._locks.get(self._key) is not self:
            return
        self._released = True
        if self._renewer:
            self._renewer.cancel()
            await asyncio.gather(self._renewer, return_exceptions=True)
        self._until = None
        body = kv_request(self._client.group, self._key)
        try:
            if self._attempt:
                await self._client._call(84, body, WRITE, lambda packet: packet.result)
        except (Unavailable, OutcomeUnknown):
            if not quietly:
                raise
        finally:
            self._client._locks.pop(self._key, None)

    async def _acquire(self, wait):
        loop = asyncio.get_running_loop()
        end = None if wait is None else loop.time() + wait
        while True:
            left = self._lease if end is None else max(0.0, min(self._lease, end - loop.time()))
            try:
                if await self._try(left):
                    self._renewer = asyncio.ensure_future(self._renew())
                    return True
            except (Unavailable, OutcomeUnknown):
                if end is not None and loop.time() >= end:
                    raise
                await asyncio.sleep(min(SEARCH_PAUSE, self._lease / 20))
                continue
            # A push can be lost, and the place in the queue ends: it is asked for again.
            pause = self._lease / 3 if end is None else min(self._lease / 3, end - loop.time())
            if pause <= 0:
                return False
            try:
                await asyncio.wait_for(self._push.wait(), pause)
            except asyncio.TimeoutError:
                pass

    async def _try(self, wait):
        if self.is_held:
            return True
        self._attempt += 1
        self._attempt_at = asyncio.get_running_loop().time()
        self._push.clear()
        lease = millis(self._lease)
        tag = self._number << 32 | self._attempt & 0xFFFFFFFF
        value = lease.to_bytes(8, "big") + tag.to_bytes(8, "big")
        ttl = min(lease, int(wait * 1000))
        body = kv_request(self._client.group, self._key, value, ttl=ttl)

        def read(packet):
            if packet.result not in (0, 27, 28):
                raise Refused(packet.result)
            return packet.result != 28, KvResponse(packet.body).token

        held, token = await self._client._call(83, body, WRITE, read)
        if held:
            self._hold(self._attempt_at + self._lease * CLOCK_DRIFT, token)
        return self.is_held

    def _granted(self, value, nanos, token):
        tag = self._number << 32 | self._attempt & 0xFFFFFFFF
        if value[8:16] == tag.to_bytes(8, "big") and self._until is None:
            waited = nanos / 1e9
            self._hold(self._attempt_at + (self._lease + waited) * CLOCK_DRIFT, token)
            self._push.set()

    def _hold(self, until, token):
        self._until = max(until, self._until or 0.0)
        self.fencing_token = token or self.fencing_token

    async def _renew(self):
        loop = asyncio.get_running_loop()
        pause = self._lease / 3
        while True:
            await asyncio.sleep(min(pause, self.remaining))
            if self._released or not self.is_held:
                self._until = None
                return
            asked = loop.time()
            body = kv_request(self._client.group, self._key, ttl=millis(self._lease))
            try:
                result = await asyncio.wait_for(
                    self._client._call(86, body, WRITE, lambda packet: packet.result),
                    min(self._lease / 3, self.remaining) or 0.001,
                )
            except (Unavailable, OutcomeUnknown, asyncio.TimeoutError):
                pause = self._lease / 20
                continue
            if result or self._released:
                self._until = None
                return
            self._hold(asked + self._lease * CLOCK_DRIFT, 0)
            pause = self._lease / 3


class Watch:
    """The states of a key; see `AsyncClient.watch`."""

    def __init__(self, client, key, known_index):
        self._client, self._key, self.known_index = client, key, known_index
        self._news, self._error, self._ready = None, None, asyncio.Event()

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await self.next()

    async def next(self):
        """Waits for a state that is newer than the last one."""
        await self._ready.wait()
        if self._error:
            raise self._error
        self._ready.clear()
        return self._news

    def close(self):
        """Ends the watch."""
        if self._client._watches.get(self._key) is self:
            del self._client._watches[self._key]
            self._client._changed.set()

    def _tell(self, state):
        # A slow reader finds the latest one only.
        if state.index > self.known_index:
            self.known_index, self._news = state.index, state
            self._ready.set()

    def _end(self, error):
        self._error = error
        self._client._watches.pop(self._key, None)
        self._ready.set()

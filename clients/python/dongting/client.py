"""The client for threads: the one for asyncio in a thread of its own."""

import asyncio
import concurrent.futures
import threading

from .aio import AsyncClient
from .calls import Calls
from .errors import DongtingError


class Client(Calls):
    """A client that any number of threads may use. Leases are renewed in the background."""

    def __init__(self, servers, group=0, timeout=5.0, identity=None):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.group, self._closed = group, False

        async def create():
            return AsyncClient(servers, group, timeout, identity)

        try:
            self._client = self._run(create())
        except DongtingError:
            self._stop()
            raise
        self.identity = self._client.identity

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Gives back the locks that are held and closes all connections."""
        if not self._closed:
            self._closed = True
            self._run(self._client.close())
            self._stop()

    def lock(self, key, lease, wait=None):
        """Takes a lock, waiting `wait` seconds for it, for ever if None; None if it is another's."""
        lock = self._run(self._client.lock(key, lease, wait))
        return lock and ThreadLock(self, lock)

    def watch(self, key, known_index=0):
        """Watches a key; an iterator of its states."""

        async def start():
            return self._client.watch(key, known_index)

        return ThreadWatch(self, self._run(start()))

    def _call(self, command, body, access, read):
        return self._run(self._client._call(command, body, access, read))

    def _run(self, coroutine, timeout=None):
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except (KeyboardInterrupt, concurrent.futures.TimeoutError):
            future.cancel()
            raise

    def _stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class ThreadLock:
    """A lock that a client holds; see `Client.lock`."""

    def __init__(self, client, lock):
        self._client, self._lock, self.fencing_token = client, lock, lock.fencing_token

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unlock()

    @property
    def is_held(self):
        """Whether the lock is held at this moment, by this client's clock."""

        async def look():
            return self._lock.is_held

        return self._client._run(look())

    def unlock(self):
        """Gives the lock back."""
        self._client._run(self._lock.unlock())


class ThreadWatch:
    """The states of a key; see `Client.watch`."""

    def __init__(self, client, watch):
        self._client, self._watch = client, watch

    def __iter__(self):
        return self

    def __next__(self):
        return self.next()

    def next(self, timeout=None):
        """Waits for a state that is newer than the last one; None if none comes in time."""

        async def wait():
            try:
                return await asyncio.wait_for(self._watch.next(), timeout)
            except asyncio.TimeoutError:
                return None

        return self._client._run(wait())

    def close(self):
        """Ends the watch."""
        self._client._loop.call_soon_threadsafe(self._watch.close)

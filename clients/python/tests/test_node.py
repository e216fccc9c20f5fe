"""Against a running node whose service address is in DONGTING_SERVICE, as in 127.0.0.1:9332."""

import asyncio
import os
import secrets
import threading
import time
import unittest

from dongting import (
    AsyncClient,
    Client,
    Condition,
    InvalidArgument,
    LockLost,
    Refused,
    Step,
    Unavailable,
)

SERVICE = os.environ.get("DONGTING_SERVICE")


def servers():
    host, port = SERVICE.rsplit(":", 1)
    return {1: (host, int(port))}


@unittest.skipUnless(SERVICE, "DONGTING_SERVICE names no node")
class NodeTest(unittest.TestCase):
    def setUp(self):
        self.directory = "python-" + secrets.token_hex(8)
        self.client = Client(servers())
        self.other = Client(servers())
        self.client.mkdir(self.directory)

    def tearDown(self):
        self.client.close()
        self.other.close()

    def key(self, name):
        return f"{self.directory}.{name}"

    def test_nodes_are_written_and_read(self):
        key = self.key("k")
        first = self.client.put(key, "one")
        self.assertTrue(first.created)
        self.assertFalse(self.client.put(key, b"two").created)
        node = self.client.get(key)
        self.assertEqual((node.value, node.create_index), (b"two", first.index))
        self.assertIsNone(self.client.get(self.key("none")))
        self.assertEqual([child.name for child in self.client.list(self.directory)], [b"k"])
        self.assertTrue(self.client.compare_and_set(key, b"two", b"three"))
        self.assertFalse(self.client.compare_and_set(key, b"two", b"four"))
        with self.assertRaises(Refused) as refused:
            self.client.remove(self.directory)
        self.assertEqual(refused.exception.code, 10)
        self.assertIsNotNone(self.client.remove(key))
        self.assertIsNone(self.client.remove(key))
        self.assertTrue(self.client.get("").is_directory)

    def test_what_is_temporary_goes(self):
        key = self.key("t")
        self.client.put_temporary(key, b"v", 60)
        with self.assertRaises(Refused):
            self.other.update_ttl(key, 60)
        watch = self.other.watch(key)
        self.assertEqual(watch.next(10).value, b"v")
        self.client.update_ttl(key, 0.05)
        self.assertEqual(watch.next(10).state, "missing")
        self.client.make_temporary_directory(self.key("d"), 60)

    def test_transactions_are_done_as_a_whole(self):
        a, b = self.key("a"), self.key("b")
        index = self.client.put(a, b"1").index
        moved = self.client.transact(
            [Condition(a, "update_index", "=", index), Condition(b, "exists", "=", 0)],
            [Step("put", b, b"1"), Step("remove", a)],
            [Step("get", a)],
        )
        self.assertTrue(moved.held)
        again = self.client.transact([Condition(a, "exists")], [], [Step("get", b)])
        self.assertEqual((again.held, again.nodes[0].value), (False, b"1"))
        with self.assertRaises(Refused):
            self.client.transact([], [Step("put", b, b"2"), Step("put", self.key("x.y"), b"2")])
        self.assertEqual(self.client.get(b).value, b"1")

    def test_locks_are_handed_over_and_renewed(self):
        key, got = self.key("l"), []
        lock = self.client.lock(key, lease=0.6)
        with self.assertRaises(InvalidArgument):
            self.client.lock(key, lease=0.6)
        self.assertIsNone(self.other.lock(key, lease=0.6, wait=0))
        waiter = threading.Thread(target=lambda: got.append(self.other.lock(key, lease=0.6)))
        waiter.start()
        time.sleep(1.5)
        self.assertTrue(lock.is_held, "the lease is renewed")
        self.assertEqual(got, [])
        lock.unlock()
        waiter.join(10)
        self.assertGreater(got[0].fencing_token, lock.fencing_token)
        self.assertTrue(got[0].is_held)
        self.assertFalse(lock.is_held)
        guard = Condition(key, "fencing_token", "=", lock.fencing_token)
        self.assertFalse(self.client.transact([guard], [Step("put", self.key("g"), b"v")]).held)
        with got[0]:
            pass
        self.assertIsNotNone(self.client.lock(key, lease=0.6, wait=0))

    def test_watches_tell_the_latest_state(self):
        key = self.key("w")
        watch = self.other.watch(key)
        self.assertEqual(watch.next(10).state, "missing")
        index = 0
        for number in range(50):
            index = self.client.put(key, str(number)).index
        state = watch.next(10)
        while state.index < index:
            state = watch.next(10)
        self.assertEqual(state.value, b"49")
        watch.close()
        later = self.client.watch(key, known_index=index)
        self.assertIsNone(later.next(1))
        self.client.put(key, b"new")
        self.assertEqual(later.next(10).value, b"new")

    def test_tasks_share_a_client(self):
        async def program():
            async with AsyncClient(servers()) as client:
                names = [self.key(f"a{number}") for number in range(100)]
                await asyncio.gather(*(client.put(name, name) for name in names))
                nodes = await asyncio.gather(*(client.get(name) for name in names))
                self.assertEqual([node.value.decode() for node in nodes], names)
                lock = await client.lock(self.key("al"), lease=30)
                lock.check()
                await lock.unlock()
                with self.assertRaises(LockLost):
                    lock.check()
                async for state in client.watch(names[0]):
                    self.assertEqual(state.value.decode(), names[0])
                    break

        asyncio.run(program())

    def test_nobody_there_is_unavailable(self):
        with Client({1: ("127.0.0.1", 1)}, timeout=0.3) as nobody:
            with self.assertRaises(Unavailable):
                nobody.put("k", b"v")
            with self.assertRaises(Unavailable):
                nobody.lock("k", lease=10, wait=0.2)


if __name__ == "__main__":
    unittest.main()

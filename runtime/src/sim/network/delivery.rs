//! What happens on the network by itself: arrivals, silence, the death and return of nodes.

use std::io;
use std::time::Duration;

use super::connection::{Content, EndState, Side};
use super::fabric::{Fabric, NetworkEvent};
use crate::sim::arena::Key;
use crate::sim::events::Event;
use crate::sim::kernel::Kernel;
use crate::sim::latency::below;
use crate::sim::node::NodeKey;

/// Time from the first attempt to connect to the second; each further one takes twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// How often a sender that waits for room asks whether the other end is there.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

impl Fabric {
    pub(crate) fn happen(&mut self, kernel: &Kernel, event: NetworkEvent) {
        match event {
            NetworkEvent::Deliver { connection, from } => self.deliver(kernel, connection, from),
            NetworkEvent::GiveUp { connection, from, epoch } => {
                self.give_up(connection, from, epoch);
            }
            NetworkEvent::Probe { connection, from } => self.probe(kernel, connection, from),
            NetworkEvent::Call { connection, attempt } => self.call(kernel, connection, attempt),
            NetworkEvent::Answer { connection, outcome } => {
                self.answer(kernel, connection, outcome);
            }
        }
    }

    /// The nodes that an event is about: from where, to where.
    pub(crate) fn way_of(&self, event: NetworkEvent) -> Option<(NodeKey, NodeKey)> {
        let (connection, from) = match event {
            NetworkEvent::Deliver { connection, from }
            | NetworkEvent::Probe { connection, from }
            | NetworkEvent::GiveUp { connection, from, .. } => (connection, from),
            NetworkEvent::Call { connection, .. } => (connection, Side::Caller),
            NetworkEvent::Answer { connection, .. } => (connection, Side::Callee),
        };
        Some(self.connections.get(connection)?.way(from))
    }

    /// An attempt to connect reaches the callee, or does not.
    fn call(&mut self, kernel: &Kernel, key: Key, attempt: u32) {
        let Some(connection) = self.connections.get(key) else { return };
        if connection.end(Side::Caller).state != EndState::Connecting {
            self.forget_if_over(key);
            return;
        }
        let (from, to) = connection.way(Side::Caller);
        let address = connection.end(Side::Callee).address;
        let is_heard = kernel.has_power(to) && !self.is_cut(from, to) && !self.is_cut(to, from);
        if !is_heard {
            self.call_again(kernel, key, attempt);
            return;
        }
        let candidates = self.listeners_at(to, address);
        let refuse_one_in = self.link(from, to).options.refuse_one_in;
        let is_refused = kernel.one_in("network.refuse", refuse_one_in);
        let chosen = kernel.choose("network.listener", candidates.len() as u64) as usize;
        let outcome = match candidates.get(chosen) {
            Some(listener) if !is_refused => {
                let backlog = self.options.backlog;
                let Some(listener) = self.listeners.get_mut(*listener) else { return };
                if listener.queue.len() >= backlog {
                    self.call_again(kernel, key, attempt);
                    return;
                }
                listener.queue.push_back(key);
                if let Some(waker) = listener.waker.take() {
                    waker.wake();
                }
                if let Some(connection) = self.connections.get_mut(key) {
                    connection.end_mut(Side::Callee).state = EndState::Open;
                }
                Ok(())
            }
            _ => Err(io::ErrorKind::ConnectionRefused),
        };
        let delay = self.delay(kernel, to, from);
        let answer = NetworkEvent::Answer { connection: key, outcome };
        kernel.schedule(delay, Event::Network(answer));
    }

    /// Nobody answered: tries again after 1, 2, 4… seconds until the time to connect is over.
    fn call_again(&mut self, kernel: &Kernel, connection: Key, attempt: u32) {
        let pause = FIRST_RETRY.saturating_mul(1 << attempt.min(20));
        let waited = pause.saturating_sub(FIRST_RETRY);
        let left = self.options.connect_timeout.saturating_sub(waited);
        let (delay, event) = if pause < left {
            (pause, NetworkEvent::Call { connection, attempt: attempt + 1 })
        } else {
            let outcome = Err(io::ErrorKind::TimedOut);
            (left, NetworkEvent::Answer { connection, outcome })
        };
        kernel.schedule(delay, Event::Network(event));
    }

    fn answer(&mut self, kernel: &Kernel, key: Key, outcome: Result<(), io::ErrorKind>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let caller = connection.end_mut(Side::Caller);
        match (caller.state, outcome) {
            (EndState::Connecting, Ok(())) => {
                caller.state = EndState::Open;
                caller.wake();
            }
            (EndState::Connecting, Err(error)) => caller.fail(error),
            // The caller left meanwhile.
            (EndState::Closed, Ok(())) => self.send(kernel, key, Side::Caller, Content::Reset),
            _ => self.forget_if_over(key),
        }
    }

    /// Delivers the segments whose time has come.
    fn deliver(&mut self, kernel: &Kernel, key: Key, from: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.pipe_mut(from).is_scheduled = false;
        let (sender, receiver) = connection.way(from);
        let is_open = !self.is_cut(sender, receiver) && kernel.has_power(receiver);
        let is_answered = !self.is_cut(receiver, sender);
        while let Some(connection) = self.connections.get_mut(key) {
            let pipe = connection.pipe_mut(from);
            match pipe.on_the_way.front() {
                Some(first) if !pipe.is_stalled && first.arrives_at <= kernel.now() => {}
                _ => break,
            }
            if !is_open {
                pipe.is_stalled = true;
                self.start_deadline(kernel, key, from);
                break;
            }
            if let Some(segment) = pipe.on_the_way.pop_front() {
                self.arrive(kernel, key, from, segment.content);
            }
            if is_answered {
                self.heard(key, from);
            } else if let Some(connection) = self.connections.get_mut(key) {
                connection.pipe_mut(from).is_unanswered = true;
                self.start_deadline(kernel, key, from);
            }
        }
        self.schedule_delivery(kernel, key, from);
        self.forget_if_over(key);
    }

    fn heard(&mut self, key: Key, from: Side) {
        if let Some(connection) = self.connections.get_mut(key) {
            let pipe = connection.pipe_mut(from);
            if pipe.has_deadline {
                pipe.heard();
            }
        }
    }

    fn arrive(&mut self, kernel: &Kernel, key: Key, from: Side, content: Content) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let end = connection.end_mut(from.other());
        // An end that is connecting gets bytes when the answer is slower than they are.
        let takes =
            end.error.is_none() && matches!(end.state, EndState::Connecting | EndState::Open);
        match content {
            Content::Bytes(len) if takes => {
                if let Some(reader) = end.reader.take() {
                    reader.wake();
                }
                connection.pipe_mut(from).arrived += len;
            }
            Content::Bytes(len) => {
                let pipe = connection.pipe_mut(from);
                let arrived = pipe.arrived;
                pipe.bytes.drain(arrived..arrived + len);
                self.send(kernel, key, from.other(), Content::Reset);
            }
            Content::End => {
                connection.pipe_mut(from).has_end_arrived = true;
                let end = connection.end_mut(from.other());
                if let Some(reader) = end.reader.take() {
                    reader.wake();
                }
            }
            Content::Reset => {
                end.fail(io::ErrorKind::ConnectionReset);
                let back = connection.pipe_mut(from.other());
                back.drop_on_the_way();
                back.is_finished = true;
            }
        }
    }

    /// Breaks the connection at the sender's end if nothing is heard for long enough.
    fn start_deadline(&mut self, kernel: &Kernel, connection: Key, from: Side) {
        let timeout = self.options.retransmit_timeout;
        let Some(state) = self.connections.get_mut(connection) else { return };
        let pipe = state.pipe_mut(from);
        if !pipe.has_deadline {
            pipe.has_deadline = true;
            let epoch = pipe.epoch;
            let give_up = NetworkEvent::GiveUp { connection, from, epoch };
            kernel.schedule(timeout, Event::Network(give_up));
        }
    }

    fn give_up(&mut self, key: Key, from: Side, epoch: u32) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let pipe = connection.pipe_mut(from);
        if pipe.epoch != epoch || !pipe.has_deadline {
            return;
        }
        pipe.drop_on_the_way();
        pipe.is_finished = true;
        connection.end_mut(from).fail(io::ErrorKind::TimedOut);
        self.forget_if_over(key);
    }

    /// A sender without room has nothing on the way, so that nothing would tell it that the other
    /// end is gone.
    pub(super) fn schedule_probe(&mut self, kernel: &Kernel, connection: Key, from: Side) {
        let Some(state) = self.connections.get_mut(connection) else { return };
        let pipe = state.pipe_mut(from);
        if !pipe.is_probing {
            pipe.is_probing = true;
            let probe = NetworkEvent::Probe { connection, from };
            kernel.schedule(PROBE_INTERVAL, Event::Network(probe));
        }
    }

    fn probe(&mut self, kernel: &Kernel, key: Key, from: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let is_waiting = connection.end(from).writer.is_some();
        let pipe = connection.pipe_mut(from);
        pipe.is_probing = false;
        if is_waiting {
            if pipe.on_the_way.is_empty() {
                self.send(kernel, key, from, Content::Bytes(0));
            }
            self.schedule_probe(kernel, key, from);
        }
    }

    /// The link takes segments again: what was held up is sent again, and acknowledgements of
    /// what came the other way get through.
    pub(super) fn open_way(&mut self, kernel: &Kernel, from: NodeKey, to: NodeKey) {
        for key in self.connections.keys_where(|_| true) {
            for side in Side::BOTH {
                let Some(connection) = self.connections.get_mut(key) else { continue };
                if connection.way(side) == (from, to) {
                    self.resume(kernel, key, side);
                } else if connection.way(side) == (to, from) {
                    let pipe = connection.pipe_mut(side);
                    pipe.unacknowledged = 0;
                    if pipe.is_unanswered {
                        pipe.is_unanswered = false;
                        pipe.heard();
                        // What is stalled as well waits for the other way from now on.
                        let is_stalled = pipe.is_stalled;
                        if is_stalled {
                            self.start_deadline(kernel, key, side);
                        }
                    }
                    if let Some(connection) = self.connections.get_mut(key)
                        && let Some(writer) = connection.end_mut(side).writer.take()
                    {
                        writer.wake();
                    }
                }
            }
        }
    }

    /// Sends what was held up again, a while after the obstacle has gone.
    fn resume(&mut self, kernel: &Kernel, key: Key, side: Side) {
        let retransmission = self.options.link.retransmission;
        let Some(connection) = self.connections.get_mut(key) else { return };
        let pipe = connection.pipe_mut(side);
        if !pipe.is_stalled {
            return;
        }
        pipe.is_stalled = false;
        if !pipe.is_unanswered {
            pipe.heard();
        }
        let delay = kernel.with_tape(|tape| below(tape, "network.resume", retransmission));
        for segment in &mut pipe.on_the_way {
            segment.arrives_at = segment.arrives_at.max(kernel.now() + delay);
        }
        self.schedule_delivery(kernel, key, side);
    }

    /// The node's system closes what its dead process left open.
    pub(crate) fn process_died(&mut self, kernel: &Kernel, node: NodeKey) {
        for listener in self.listeners.keys_where(|listener| listener.node == node) {
            self.stop_listening(kernel, listener);
        }
        for key in self.connections.keys_where(|_| true) {
            for side in Side::BOTH {
                let is_own = self.connections.get(key).is_some_and(|c| c.end(side).node == node);
                if is_own {
                    self.close(kernel, key, side);
                }
            }
        }
    }

    /// The node vanishes: nobody is told, and only some of what it sent is still on the way.
    pub(crate) fn power_lost(&mut self, kernel: &Kernel, node: NodeKey) {
        for key in self.listeners.keys_where(|listener| listener.node == node) {
            self.listeners.remove(key);
        }
        for key in self.connections.keys_where(|_| true) {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            for side in Side::BOTH {
                if connection.end(side).node != node {
                    continue;
                }
                let is_unknown = connection.end(side).state == EndState::Closed
                    && connection.pipe(side).on_the_way.is_empty();
                if is_unknown {
                    // An attempt to connect that has not come here may still find the next process.
                    continue;
                }
                let end = connection.end_mut(side);
                (end.reader, end.writer) = (None, None);
                end.state = EndState::Gone;
                let pipe = connection.pipe_mut(side);
                let count = pipe.on_the_way.len() as u64;
                let lost = kernel.choose("network.power.lost", count + 1) as usize;
                pipe.on_the_way.truncate(pipe.on_the_way.len() - lost);
                let sent = pipe.on_the_way.iter().map(|segment| match segment.content {
                    Content::Bytes(len) => len,
                    Content::End | Content::Reset => 0,
                });
                let len = pipe.arrived + sent.sum::<usize>();
                pipe.bytes.truncate(len);
                pipe.is_finished = true;
            }
            self.forget_if_over(key);
        }
    }

    /// The node's system answers again, and knows nothing of old connections.
    pub(crate) fn power_back(&mut self, kernel: &Kernel, node: NodeKey) {
        for key in self.connections.keys_where(|_| true) {
            for side in Side::BOTH {
                let Some(connection) = self.connections.get(key) else { continue };
                let (from, to) = connection.way(side);
                if to == node && !self.is_cut(from, to) {
                    self.resume(kernel, key, side);
                }
            }
        }
    }
}

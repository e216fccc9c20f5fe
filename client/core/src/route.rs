//! Where the leader is.

/// What is known about the leader. Servers are positions in the options.
#[derive(Default, Debug)]
pub(crate) struct Route {
    pub(crate) leader: Option<usize>,
    /// The term in which a server named that leader; it orders contradicting answers, and counts
    /// only as long as the leader does, so that a cluster set up anew is found.
    pub(crate) term: i32,
    /// The leader does not behave: nothing is sent to it until it says that it still is the leader,
    /// or another one is found. What waits instead can safely be repeated.
    pub(crate) suspected: bool,
    /// Which of the leader's links is next.
    pub(crate) turn: usize,
}

impl Route {
    pub(crate) fn adopt(&mut self, server: usize, term: i32) {
        self.leader = Some(server);
        self.term = term;
        self.suspected = false;
    }

    /// `server` is not the leader.
    pub(crate) fn forget(&mut self, server: usize) {
        if self.leader == Some(server) {
            self.leader = None;
            self.term = 0;
            self.suspected = false;
        }
    }

    /// `server` may not be the leader any more.
    pub(crate) fn suspect(&mut self, server: usize) {
        self.suspected |= self.leader == Some(server);
    }

    /// `server` behaves like a leader.
    pub(crate) fn trust(&mut self, server: usize) {
        self.suspected &= self.leader != Some(server);
    }

    /// Where to send.
    #[inline]
    pub(crate) fn trusted_leader(&self) -> Option<usize> {
        if self.suspected { None } else { self.leader }
    }
}

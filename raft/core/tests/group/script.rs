//! Golden scripts: commands above a line of dashes, everything that follows from them below it.
//!
//! `GOLDEN=1 cargo test -p raft-core --test group` writes the traces anew. The commands:
//!
//! | command | what it does |
//! |---|---|
//! | `group 1,2,3 [observers 4] [spare 5]` | the nodes and the founding members |
//! | `option N priority 1`, `option N read-index`, `option N notice MS` | a setting of a node, before it starts |
//! | `disk N terms 1,1,2 [term 3] [vote 2] [commit 1]` | what a node's disk holds, before it starts |
//! | `start [N]`, `crash N`, `replace-disk N` | runs nodes; stops one, which loses what was not written; brings a stopped one back with an empty disk, which it knows |
//! | `wait MS` | time passes for all nodes, and nothing is written or delivered |
//! | `run MS` | time passes, and everything is written and delivered at once |
//! | `elect N` | the node times out and wins; without a trace |
//! | `timeout N` | time passes up to the node's deadline, and only that node notices |
//! | `pass MS` | time passes and nobody notices |
//! | `write N [hard\|log]` | the node's pending writes become durable |
//! | `deliver [A>B]`, `drop [A>B]` | messages on their way arrive, without those sent meanwhile; are lost |
//! | `cut N`, `join N` | the node sends and receives nothing; it does again |
//! | `settle` | writes and deliveries until nothing is on its way |
//! | `propose N COUNT`, `read N`, `read-here N`, `lease N`, `transfer N TO MS` | … |
//! | `prepare N VOTERS [observers …] [within MS]`, `commit-change N INDEX`, `abort N` | … |
//! | `compact N`, `restarted N PEER`, `withhold N`, `status N`, `log N` | … |
//! | `inject A>B TERM vote LAST@TERM`, `inject A>B TERM append PREV@TERM TERMS commit INDEX`, … | a message from nowhere |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use raft_core::message::{Append, Ballot, Handover, Heartbeat, TimeoutNow, Vote};
use raft_core::{
    Body, Change, Config, Index, Members, Message, NodeId, RaftOptions, ReadMode, Round, Standing,
    Term,
};

use crate::disk::Disk;
use crate::host::{Effects, Host, Packet};
use crate::trace::{config_text, message_text};
use crate::words::{described, entries, node, nodes, number, numbers, on_link, position, value_of};

const MILLISECOND: u64 = 1_000_000;

struct Stage {
    hosts: BTreeMap<NodeId, Host>,
    options: BTreeMap<NodeId, RaftOptions>,
    network: Vec<(NodeId, NodeId, Packet)>,
    cut: BTreeSet<NodeId>,
    now: u64,
    next_content: u64,
    trace: String,
}

/// Runs a script and returns it with the traces it really has.
fn run(script: &str) -> String {
    let mut stage = Stage {
        hosts: BTreeMap::new(),
        options: BTreeMap::new(),
        network: Vec::new(),
        cut: BTreeSet::new(),
        now: 0,
        next_content: 0,
        trace: String::new(),
    };
    let mut result = String::new();
    let mut in_trace = false;
    for line in script.lines() {
        if line == "----" {
            in_trace = true;
            writeln!(result, "----").unwrap();
            result.push_str(&std::mem::take(&mut stage.trace));
        } else if line.is_empty() {
            in_trace = false;
            result.push('\n');
        } else if !in_trace {
            writeln!(result, "{line}").unwrap();
            if !line.starts_with('#') {
                let words: Vec<&str> = line.split_whitespace().collect();
                stage.command(&words);
            }
        }
    }
    assert!(stage.trace.is_empty(), "commands without a line of dashes after them");
    result
}

impl Stage {
    fn command(&mut self, words: &[&str]) {
        match words {
            ["group", ..] | ["option", ..] | ["disk", ..] => self.set_up(words),
            ["start"] => self
                .hosts
                .keys()
                .copied()
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|id| self.start(id)),
            ["start", id] => self.start(node(id)),
            ["crash", id] => self.host(id).crash(0, false),
            ["wait", time] => self.wait(time.parse().unwrap()),
            ["pass", time] => self.now += time.parse::<u64>().unwrap() * MILLISECOND,
            ["run", time] => self.live(time.parse().unwrap()),
            ["elect", id] => {
                let trace = std::mem::take(&mut self.trace);
                self.time_out(node(id));
                self.settle();
                self.trace = trace;
                let term = self.host(id).running.as_ref().unwrap().raft.leads().unwrap();
                writeln!(self.trace, "  {id} leads in term {term}").unwrap();
            }
            ["timeout", id] => self.time_out(node(id)),
            ["write", id] => self.write(node(id), true, true),
            ["write", id, file] => self.write(node(id), *file == "hard", *file == "log"),
            ["deliver"] => self.deliver(|_, _| true),
            ["deliver", link] => self.deliver(on_link(link)),
            ["drop"] => self.network.clear(),
            ["drop", link] => {
                let lost = on_link(link);
                self.network.retain(|(from, to, _)| !lost(*from, *to));
            }
            ["replace-disk", id] => {
                let host = self.host(id);
                host.disk = Disk::new(host.disk.snapshot.config.config.clone());
                host.disk.standing = Standing::Withheld;
            }
            ["cut", id] => drop(self.cut.insert(node(id))),
            ["join", id] => drop(self.cut.remove(&node(id))),
            ["settle"] => self.settle(),
            ["inject", link, term, rest @ ..] => self.inject(link, term, rest),
            [what, id, rest @ ..] => self.ask(what, node(id), rest),
            _ => panic!("unknown command {words:?}"),
        }
    }

    fn host(&mut self, id: &str) -> &mut Host {
        self.hosts.get_mut(&node(id)).unwrap()
    }

    fn set_up(&mut self, words: &[&str]) {
        match words {
            ["group", voters, rest @ ..] => {
                let observers = value_of(rest, "observers").map(nodes).unwrap_or_default();
                let config = Config::of(nodes(voters), observers);
                let spare = value_of(rest, "spare").map(nodes).unwrap_or_default();
                for id in config.nodes().into_iter().chain(spare) {
                    let mut host = Host::new(id, config.clone(), 1000);
                    host.traced = true;
                    self.hosts.insert(id, host);
                    let options = RaftOptions {
                        election_timeout: Duration::from_millis(1000),
                        heartbeat_interval: Duration::from_millis(200),
                        lease_margin: Duration::from_millis(100),
                        ..RaftOptions::new(id, u64::from(id.0))
                    };
                    self.options.insert(id, options);
                }
            }
            ["option", id, "priority", priority] => {
                self.options.get_mut(&node(id)).unwrap().priority = priority.parse().unwrap();
            }
            ["option", id, "notice", millis] => {
                let delay = Duration::from_millis(millis.parse().unwrap());
                self.options.get_mut(&node(id)).unwrap().commit_notice_delay = delay;
            }
            ["option", id, "read-index"] => {
                self.options.get_mut(&node(id)).unwrap().read_mode = ReadMode::ReadIndex;
            }
            ["disk", id, rest @ ..] => {
                let disk = &mut self.host(id).disk;
                let terms = value_of(rest, "terms").map(numbers).unwrap_or_default();
                disk.log = entries(Index(0), &terms);
                disk.hard_state.term = Term(number(rest, "term").unwrap_or(0) as u32);
                disk.hard_state.vote = number(rest, "vote").map(|id| NodeId(id as u32));
                disk.commit = Index(number(rest, "commit").unwrap_or(0));
            }
            _ => panic!("unknown command {words:?}"),
        }
    }

    fn start(&mut self, id: NodeId) {
        let options = self.options[&id].clone();
        let now = self.now;
        let effects = self.hosts.get_mut(&id).unwrap().start(now, options);
        self.carry_out(id, effects);
    }

    fn wait(&mut self, millis: u64) {
        let end = self.now + millis * MILLISECOND;
        while let Some(id) = self.pass_to_next_deadline(end) {
            self.tick(id);
        }
        self.now = end;
    }

    fn live(&mut self, millis: u64) {
        let end = self.now + millis * MILLISECOND;
        self.settle();
        while let Some(id) = self.pass_to_next_deadline(end) {
            self.tick(id);
            self.settle();
        }
        self.now = end;
    }

    fn pass_to_next_deadline(&mut self, end: u64) -> Option<NodeId> {
        let due = self.hosts.values().filter_map(|host| {
            let deadline = host.running.as_ref()?.raft.next_deadline();
            Some((deadline.as_nanos().saturating_sub(1_000_000_000), host.id))
        });
        let (at, id) = due.min().filter(|(at, _)| *at <= end)?;
        self.now = self.now.max(at);
        Some(id)
    }

    fn time_out(&mut self, id: NodeId) {
        let deadline = self.hosts[&id].running.as_ref().unwrap().raft.next_deadline();
        self.now = self.now.max(deadline.as_nanos() - 1_000_000_000);
        self.tick(id);
    }

    fn tick(&mut self, id: NodeId) {
        let now = self.now;
        let effects = self.hosts.get_mut(&id).unwrap().tick(now);
        self.carry_out(id, effects);
    }

    fn write(&mut self, id: NodeId, hard: bool, log: bool) {
        let now = self.now;
        loop {
            let host = self.hosts.get_mut(&id).unwrap();
            let is_hard = hard && !host.disk.hard_writes.is_empty();
            if !is_hard && (!log || host.disk.log_writes.is_empty()) {
                return;
            }
            let effects = host.complete_write(is_hard, now);
            self.carry_out(id, effects);
        }
    }

    fn deliver(&mut self, is_meant: impl Fn(NodeId, NodeId) -> bool) {
        let (meant, kept) = std::mem::take(&mut self.network)
            .into_iter()
            .partition(|(from, to, _)| is_meant(*from, *to));
        self.network = kept;
        for (from, to, packet) in meant {
            self.arrive(from, to, packet);
        }
    }

    fn arrive(&mut self, from: NodeId, to: NodeId, packet: Packet) {
        let what = match &packet {
            Packet::Message(bytes, _) => message_text(&Message::decode(bytes).unwrap().0),
            Packet::Snapshot(snapshot) => format!("the snapshot {}", snapshot.boundary),
            Packet::StreamEnded(to) => format!("the stream to {to} has ended"),
        };
        let lost =
            [from, to].iter().any(|id| self.cut.contains(id)) || !self.hosts.contains_key(&to);
        writeln!(self.trace, "{from} > {to} {what}{}", if lost { " (lost)" } else { "" }).unwrap();
        if !lost {
            let now = self.now;
            let effects = self.hosts.get_mut(&to).unwrap().receive(from, packet, now);
            self.carry_out(to, effects);
        }
    }

    fn settle(&mut self) {
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for _ in 0..100 {
            ids.iter().for_each(|&id| self.write(id, true, true));
            if self.network.is_empty() {
                return;
            }
            self.deliver(|_, _| true);
        }
        panic!("the group does not settle");
    }

    fn carry_out(&mut self, id: NodeId, effects: Effects) {
        for line in effects.lines {
            writeln!(self.trace, "  {id} {line}").unwrap();
        }
        for (must_see, applied) in effects.answered_reads {
            assert!(applied >= must_see, "a read that is too old");
            writeln!(self.trace, "  {id} answers a read at {applied}").unwrap();
        }
        self.network.extend(effects.packets.into_iter().map(|(to, packet)| (id, to, packet)));
    }

    fn ask(&mut self, what: &str, id: NodeId, rest: &[&str]) {
        let now = self.now;
        let visible = self.hosts.values().filter_map(|host| Some(host.running.as_ref()?.applied()));
        let visible = visible.max().unwrap_or_default();
        let next_content = self.next_content;
        let host = self.hosts.get_mut(&id).unwrap();
        let clock = host.clock(now);
        let mut said = String::new();
        let effects = match (what, rest) {
            ("propose", [count]) => {
                let count: u64 = count.parse().unwrap();
                self.next_content += count;
                if let Err(refused) = host.running.as_mut().unwrap().raft.propose(0) {
                    said = format!("{refused:?}");
                }
                host.propose(&(next_content..next_content + count).collect::<Vec<u64>>())
            }
            ("read", []) => host.read(visible, false, now),
            ("read-here", []) => host.read(visible, true, now),
            ("compact", []) => {
                host.compact();
                Effects::default()
            }
            _ => {
                said = ask_core(host, what, rest, clock);
                host.drain(&[])
            }
        };
        if !said.is_empty() {
            writeln!(self.trace, "  {id} {said}").unwrap();
        }
        self.carry_out(id, effects);
    }

    fn inject(&mut self, link: &str, term: &str, rest: &[&str]) {
        let (from, to) = link.split_once('>').unwrap();
        let mut records = Vec::new();
        let body = match rest {
            ["vote", last, rest @ ..] => {
                let handover = number(rest, "handed-over-in").map(|term| Handover {
                    term: Term(term as u32),
                    round: Round(number(rest, "round").unwrap()),
                });
                Body::Vote(Vote { ballot: Ballot::Real, last: position(last), handover })
            }
            ["would-vote", wanted, last] => {
                let ballot = Ballot::Pre(Term(wanted.parse().unwrap()));
                Body::Vote(Vote { ballot, last: position(last), handover: None })
            }
            ["heartbeat", commit, round] => Body::Heartbeat(Heartbeat {
                round: Round(round.parse().unwrap()),
                commit: position(commit),
            }),
            ["stand-now", round] => {
                Body::TimeoutNow(TimeoutNow { round: Round(round.parse().unwrap()) })
            }
            ["append", previous, rest @ ..] => {
                let previous = position(previous);
                let terms = value_of(rest, "terms").map(numbers).unwrap_or_default();
                records = entries(previous.index, &terms);
                let commit = Index(number(rest, "commit").unwrap_or(0));
                let round = Round(number(rest, "round").unwrap_or(1));
                Body::Append(Append { previous, round, commit, entries: described(&records) })
            }
            _ => panic!("unknown message {rest:?}"),
        };
        let mut bytes = Vec::new();
        Message { term: Term(term.parse().unwrap()), body }.encode(&mut bytes);
        self.arrive(node(from), node(to), Packet::Message(bytes, records));
    }
}

fn ask_core(host: &mut Host, what: &str, rest: &[&str], clock: moment::Moment) -> String {
    let raft = &mut host.running.as_mut().unwrap().raft;
    let limit = Duration::from_millis(number(rest, "within").unwrap_or(1000));
    match (what, rest) {
        ("lease", []) => format!("lease holds: {}", raft.lease_holds(clock)),
        ("transfer", [to, millis]) => {
            let limit = Duration::from_millis(millis.parse().unwrap());
            raft.transfer(node(to), limit, clock).err().map_or(String::new(), |e| format!("{e:?}"))
        }
        ("prepare", [voters, rest @ ..]) => {
            let observers = value_of(rest, "observers").map(nodes).unwrap_or_default();
            let next = Members::of(nodes(voters), observers);
            let current = raft.status().config.current;
            let change = Change::Prepare { current, next };
            raft.change(change, limit, clock).err().map_or(String::new(), |e| format!("{e:?}"))
        }
        ("commit-change", [index]) => {
            let change = Change::Commit { prepared: Index(index.parse().unwrap()) };
            raft.change(change, limit, clock).err().map_or(String::new(), |e| format!("{e:?}"))
        }
        ("abort", []) => raft
            .change(Change::Abort, limit, clock)
            .err()
            .map_or(String::new(), |e| format!("{e:?}")),
        ("restarted", [peer]) => {
            raft.peer_restarted(node(peer), clock);
            String::new()
        }
        ("withhold", []) => {
            raft.set_standing(Standing::Withheld, clock);
            String::new()
        }
        ("trust", []) => {
            raft.set_standing(Standing::Full, clock);
            String::new()
        }
        ("unreachable", [peer]) => {
            raft.unreachable(node(peer));
            String::new()
        }
        ("status", []) => {
            let status = raft.status();
            let leader = status.leader.map_or("nobody".into(), |leader| leader.to_string());
            format!(
                "{:?} in term {} leader {leader} last {} durable {} commit {} applied {} ready {} {}",
                status.role,
                status.term,
                status.last,
                status.durable,
                status.commit,
                status.applied,
                status.ready,
                config_text(&status.config),
            )
        }
        ("log", []) => {
            let terms: Vec<String> =
                host.disk.log.iter().map(|entry| entry.term.to_string()).collect();
            format!("durable terms [{}]", terms.join(" "))
        }
        _ => panic!("unknown command {what} {rest:?}"),
    }
}

fn check(name: &str, script: &str) {
    let real = run(script);
    if std::env::var("GOLDEN").is_ok() {
        let path = format!("{}/tests/scripts/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, real).unwrap();
        return;
    }
    for (number, (expected, found)) in script.lines().zip(real.lines()).enumerate() {
        assert_eq!(found, expected, "{name}.txt, line {}", number + 1);
    }
    assert_eq!(real.lines().count(), script.lines().count(), "{name}.txt has another length");
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let script = include_str!(concat!("../scripts/", stringify!($name), ".txt"));
                check(stringify!($name), script);
            }
        )*

        #[test]
        fn every_script_is_run() {
            let directory = format!("{}/tests/scripts", env!("CARGO_MANIFEST_DIR"));
            for file in std::fs::read_dir(directory).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                let known = [$(concat!(stringify!($name), ".txt")),*];
                assert!(known.contains(&name.as_str()), "{name} is not in the list");
            }
        }
    };
}

scripts! {
    a_single_node_elects_itself_at_once
    a_slow_disk_delays_a_candidate
    three_nodes_elect_a_leader
    a_split_vote_is_resolved
    a_vote_is_answered_when_it_is_durable
    pre_vote_refuses_a_stale_log
    pre_vote_changes_nothing
    loyal_followers_refuse_an_election
    a_restarted_voter_keeps_its_loyalty
    a_follower_that_loses_its_link_asks_early
    a_leader_without_a_quorum_steps_down
    three_nodes_replicate
    a_commit_is_told_with_the_next_entries
    an_entry_is_acknowledged_when_it_is_durable
    a_conflict_is_found_and_cut_off
    a_stale_append_does_not_shorten_the_log
    an_old_term_is_committed_with_an_own_entry
    commit_is_only_what_a_message_proves
    reads_wait_for_an_own_entry
    a_read_needs_a_round_begun_after_it
    a_lease_counts_from_when_its_round_was_sent
    a_pause_voids_the_lease
    a_follower_reads_by_asking
    leadership_is_transferred
    a_transfer_times_out
    a_transfer_ends_when_its_target_is_gone
    a_late_order_to_stand_is_void
    a_higher_priority_takes_over
    a_reluctant_node_lets_others_lead
    an_observer_receives_and_does_not_count
    members_change_by_joint_consensus
    a_change_waits_for_its_newcomers
    a_change_is_aborted
    a_change_waits_for_an_own_entry
    a_cut_off_membership_is_undone
    a_leader_outside_the_members_steps_down
    a_node_left_out_stands_until_it_is_settled
    a_removed_node_does_not_disrupt
    a_snapshot_is_installed
    a_replaced_disk_is_noticed_and_does_not_vote
    a_vote_of_a_lost_disk_is_not_given_twice
}

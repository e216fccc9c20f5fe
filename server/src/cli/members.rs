//! `member add|remove|replace|promote|demote`: a change of members from the first greeting to its
//! end, or back to where it began.

use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use client::GroupId;
use client::operations::administration::{ListGroups, StatusOf};
use wire::AddGroupReq;

use super::administered::{Administered, AdministeredArguments};
use super::arguments::ClientArguments;
use super::change::{Sets, abort, commit, prepare};
use super::exit::{Exit, Failure};
use super::nodes::{PATIENT, greet};
use super::output::Output;
use super::survey::{LOOK_INTERVAL, NEAR, Survey, majority};
use crate::config::parse_duration;

#[derive(Args, Debug)]
pub(super) struct MemberArguments {
    #[command(flatten)]
    administered: AdministeredArguments,
    /// Show what would become of the group, and change nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    /// How long a new member may take to catch up; after that everything is as before.
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration, default_value = "10m")]
    wait: Duration,
    #[command(subcommand)]
    verb: MemberVerb,
}

#[derive(Subcommand, Clone, Copy, Debug)]
enum MemberVerb {
    /// Make a node a member of the group of --group: first without a vote, until it has caught up.
    Add {
        /// A node that all members know.
        node: u32,
    },
    /// Take a member or an observer out of the group.
    Remove {
        /// Its id.
        node: u32,
    },
    /// Put a node in the place of another one, in one step.
    Replace {
        /// The one that leaves.
        old: u32,
        /// The one that comes.
        new: u32,
    },
    /// Give an observer a vote.
    Promote {
        /// Its id.
        node: u32,
    },
    /// Take a member's vote; it goes on as an observer.
    Demote {
        /// Its id.
        node: u32,
    },
}

pub(super) fn run(
    arguments: &MemberArguments,
    client: &ClientArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let time = client.timeout.max(PATIENT);
    let mut cluster = Administered::find(&arguments.administered, client, time)?;
    let survey = Survey::of(&mut cluster, client.group)?;
    if !survey.leader.prepared_members.is_empty() {
        let text = "another change is prepared already; see `dongting change show`, then `dongting \
                    change commit` or `dongting change abort`";
        return Err(Failure::new(Exit::NotAllowed, text));
    }
    let before = Sets::current(&survey.leader);
    let plan = Plan::of(arguments.verb, before)
        .map_err(|why| Failure::new(Exit::NotAllowed, format!("group {}: {why}", client.group)))?;
    output.line(&plan.explain(client.group, &survey.following()))?;
    plan.check(&survey.following())?;
    if arguments.dry_run {
        return output.line("nothing was changed");
    }
    output.flush()?;
    Work { cluster, group: client.group, wait: arguments.wait, output }.carry_out(&plan)
}

/// What is to be changed.
struct Plan {
    before: Sets,
    after: Sets,
    /// Who has to catch up before it votes.
    newcomer: Option<u32>,
}

impl Plan {
    fn of(verb: MemberVerb, before: Sets) -> Result<Plan, String> {
        let Sets { mut members, mut observers } = before.clone();
        let mut newcomer = None;
        let is_member = |node: u32| before.members.contains(&node);
        let is_observer = |node: u32| before.observers.contains(&node);
        let mut take = |node: u32| {
            members.retain(|id| *id != node);
            observers.retain(|id| *id != node);
        };
        match verb {
            MemberVerb::Add { node } | MemberVerb::Replace { new: node, .. } if is_member(node) => {
                return Err(format!("node {node} is a member already"));
            }
            MemberVerb::Promote { node } if !is_observer(node) => {
                return Err(format!("node {node} is no observer; add it with `member add {node}`"));
            }
            MemberVerb::Demote { node } | MemberVerb::Replace { old: node, .. }
                if !is_member(node) =>
            {
                return Err(format!("node {node} is no member"));
            }
            MemberVerb::Remove { node } if !is_member(node) && !is_observer(node) => {
                return Err(format!("node {node} is neither member nor observer"));
            }
            MemberVerb::Add { node } | MemberVerb::Promote { node } => {
                take(node);
                members.push(node);
                newcomer = Some(node);
            }
            MemberVerb::Replace { old, new } => {
                take(old);
                take(new);
                members.push(new);
                newcomer = Some(new);
            }
            MemberVerb::Remove { node } => take(node),
            MemberVerb::Demote { node } => {
                take(node);
                observers.push(node);
            }
        }
        if members.is_empty() {
            return Err("it would have no member left; add another one first, or end it with \
                        `dongting group remove`"
                .to_owned());
        }
        Ok(Plan { before, after: Sets::of(&members, &observers), newcomer })
    }

    /// For people, before anything is done.
    fn explain(&self, group: i32, following: &[u32]) -> String {
        let of = |sets: &Sets| {
            let all = sets.members.len();
            let there = |id: &&u32| following.contains(id) || self.newcomer == Some(**id);
            let there = sets.members.iter().filter(there).count();
            let spare = there.saturating_sub(majority(all));
            format!("{sets}; {} of {all} decide, can lose: {spare}", majority(all))
        };
        format!(
            "group {group}\n  now        {}\n  afterwards {}",
            of(&self.before),
            of(&self.after)
        )
    }

    /// Whether the members afterwards are enough of those that follow now.
    fn check(&self, following: &[u32]) -> Result<(), Failure> {
        let there = |id: &&u32| following.contains(id) || self.newcomer == Some(**id);
        let there = self.after.members.iter().filter(there).count();
        let needed = majority(self.after.members.len());
        if there < needed {
            let text = format!(
                "only {there} of the members afterwards would follow, and {needed} are needed; \
                 nothing was changed: start the others first"
            );
            return Err(Failure::new(Exit::Unavailable, text));
        }
        Ok(())
    }
}

/// The change under way.
struct Work<'a> {
    cluster: Administered,
    group: i32,
    wait: Duration,
    output: &'a mut Output,
}

impl Work<'_> {
    fn carry_out(&mut self, plan: &Plan) -> Result<(), Failure> {
        if let Some(newcomer) = plan.newcomer {
            let is_new = !plan.before.observers.contains(&newcomer);
            if is_new {
                self.welcome(plan, newcomer)?;
            }
            if let Err(failure) = self.catch_up(newcomer) {
                let current = Sets::current(&self.leader()?);
                let back = if is_new { self.change(&current, &plan.before) } else { Ok(()) };
                let how = match back {
                    Ok(()) => "everything is as before".to_owned(),
                    Err(back) => format!("and it is still an observer: {}", back.message),
                };
                return Err(Failure::new(failure.exit, format!("{}; {how}", failure.message)));
            }
        }
        let current = Sets::current(&self.leader()?);
        self.change(&current, &plan.after)?;
        self.say(&format!("done: {}", plan.after))?;
        let gone =
            |id: &&u32| !plan.after.members.contains(id) && !plan.after.observers.contains(id);
        let gone = plan.before.members.iter().chain(&plan.before.observers).find(gone);
        match gone {
            Some(gone) => self.say(&format!(
                "node {gone} still has the group's files; `dongting group remove {} --on {gone}` \
                 ends the group there",
                self.group
            )),
            None => Ok(()),
        }
    }

    fn leader(&mut self) -> Result<wire::QueryStatusResp, Failure> {
        Ok(Survey::of(&mut self.cluster, self.group)?.leader)
    }

    /// Has the node know the others and the group, and makes it an observer.
    fn welcome(&mut self, plan: &Plan, node: u32) -> Result<(), Failure> {
        for member in &plan.before.members {
            greet(&mut self.cluster, node, *member)?;
        }
        if !self.cluster.ask(node, ListGroups)?.group_ids.contains(&self.group) {
            let text = |ids: &[u32]| ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let (members, observers) = (text(&plan.before.members), text(&plan.before.observers));
            let request = AddGroupReq { group_id: self.group, members, observers };
            self.cluster.ask(node, request)?;
        }
        let mut observers = plan.before.observers.clone();
        observers.push(node);
        let next = Sets::of(&plan.before.members, &observers);
        self.change(&plan.before, &next)?;
        self.say(&format!("node {node} is an observer and catches up"))
    }

    /// Waits until a node has applied nearly all that is committed, and says how far it is.
    fn catch_up(&mut self, node: u32) -> Result<(), Failure> {
        let (begun, mut told) = (Instant::now(), Instant::now());
        loop {
            let goal = self.leader()?.commit_index;
            let there = self.cluster.ask(node, StatusOf(GroupId(self.group)));
            let has = there.as_ref().map_or(0, |status| status.last_applied);
            if has > 0 && has + NEAR >= goal {
                return self.say(&format!("node {node} has caught up, at {has} of {goal}"));
            }
            if begun.elapsed() > self.wait {
                let text =
                    format!("node {node} has not caught up in time: it is at {has} of {goal}");
                return Err(Failure::new(Exit::Unavailable, text));
            }
            if told.elapsed() > TELL_INTERVAL {
                told = Instant::now();
                let percent = has.saturating_mul(100) / goal.max(1);
                self.say(&format!("node {node} is at {has} of {goal}, {percent} %"))?;
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// One change from its beginning to its end; what cannot be ended is taken back.
    fn change(&mut self, current: &Sets, next: &Sets) -> Result<(), Failure> {
        if current == next {
            return Ok(());
        }
        let done = prepare(&mut self.cluster, self.group, current, next)
            .and_then(|_| commit(&mut self.cluster, self.group));
        let Err(failure) = done else { return Ok(()) };
        // The answer may have been lost, and not the change.
        let now = self.leader()?;
        if Sets::current(&now) == *next && now.prepared_members.is_empty() {
            return Ok(());
        }
        let undone = match abort(&mut self.cluster, self.group) {
            Ok(_) => "the change was taken back".to_owned(),
            Err(undone) => format!("taking it back failed as well: {}", undone.message),
        };
        Err(Failure::new(failure.exit, format!("{}; {undone}", failure.message)))
    }

    fn say(&mut self, line: &str) -> Result<(), Failure> {
        self.output.line(line)?;
        self.output.flush()
    }
}

const TELL_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(verb: MemberVerb) -> Result<Sets, String> {
        Plan::of(verb, Sets::of(&[1, 2, 3], &[4])).map(|plan| plan.after)
    }

    #[test]
    fn each_verb_leads_to_its_sets() {
        for (verb, members, observers) in [
            (MemberVerb::Add { node: 5 }, &[1, 2, 3, 5][..], &[4][..]),
            (MemberVerb::Add { node: 4 }, &[1, 2, 3, 4], &[]),
            (MemberVerb::Promote { node: 4 }, &[1, 2, 3, 4], &[]),
            (MemberVerb::Demote { node: 2 }, &[1, 3], &[2, 4]),
            (MemberVerb::Remove { node: 3 }, &[1, 2], &[4]),
            (MemberVerb::Remove { node: 4 }, &[1, 2, 3], &[]),
            (MemberVerb::Replace { old: 1, new: 4 }, &[2, 3, 4], &[]),
            (MemberVerb::Replace { old: 1, new: 9 }, &[2, 3, 9], &[4]),
        ] {
            assert_eq!(plan(verb), Ok(Sets::of(members, observers)), "{verb:?}");
        }
        for verb in [
            MemberVerb::Add { node: 1 },
            MemberVerb::Replace { old: 1, new: 2 },
            MemberVerb::Replace { old: 4, new: 5 },
            MemberVerb::Promote { node: 1 },
            MemberVerb::Demote { node: 4 },
            MemberVerb::Remove { node: 9 },
        ] {
            assert!(plan(verb).is_err(), "{verb:?}");
        }
        let last = Plan::of(MemberVerb::Remove { node: 1 }, Sets::of(&[1], &[]));
        assert!(last.is_err_and(|why| why.contains("no member left")));
    }

    #[test]
    fn the_quorum_is_shown_before_and_after() {
        let plan = Plan::of(MemberVerb::Remove { node: 3 }, Sets::of(&[1, 2, 3], &[])).unwrap();
        let text = plan.explain(0, &[1, 2, 3]);
        assert!(text.contains("members 1,2,3; 2 of 3 decide, can lose: 1"), "{text}");
        assert!(text.contains("members 1,2; 2 of 2 decide, can lose: 0"), "{text}");
        assert!(plan.check(&[1, 2, 3]).is_ok());
        assert_eq!(plan.check(&[1, 3]).unwrap_err().exit, Exit::Unavailable);
    }
}

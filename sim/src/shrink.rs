//! From a run that breaks a rule to the smallest tape that breaks the same one.
//!
//! First the end is cut, then whole sites are tamed (a class of faults, a kind of delay), then blocks
//! of choices, large ones first. Zero is the tame answer everywhere, so that what is left on the tape
//! is what it takes.

use std::collections::BTreeSet;

use runtime::sim::Recording;

use crate::run::{Keep, Report, Source, run};
use crate::violation::Violation;

/// A tape being shrunk.
pub struct Shrinking {
    violation: Violation,
    tape: Recording,
    tries: usize,
    tries_max: usize,
}

impl Shrinking {
    /// Begins with a run that breaks a rule; none if it does not.
    pub fn of(source: &Source, tries_max: usize) -> Option<Shrinking> {
        let report = run(source, Keep { tape: true, story: false });
        let violation = report.violation?;
        Some(Shrinking { violation, tape: report.tape, tries: 0, tries_max })
    }

    /// The tape as it is now.
    pub fn tape(&self) -> &Recording {
        &self.tape
    }

    /// Choices on the tape that are not tame.
    pub fn wild(&self) -> usize {
        self.tape.iter().filter(|(_, value)| *value != 0).count()
    }

    /// Makes the tape as small as the tries allow. `tell` hears of every success.
    pub fn shrink(&mut self, mut tell: impl FnMut(&Shrinking)) -> Report {
        loop {
            let before = self.wild();
            self.cut_end(&mut tell);
            self.tame_sites(&mut tell);
            self.tame_blocks(&mut tell);
            if self.wild() == before || self.tries >= self.tries_max {
                return run(&Source::Tape(self.tape.clone()), Keep { tape: false, story: true });
            }
        }
    }

    /// Whether a smaller tape still breaks the rule; then it takes the place of the present one.
    fn try_tape(&mut self, tape: Recording, tell: &mut impl FnMut(&Shrinking)) -> bool {
        if self.tries >= self.tries_max {
            return false;
        }
        self.tries += 1;
        let report = run(&Source::Tape(tape.clone()), Keep::default());
        let is_same = report.violation.is_some_and(|violation| violation.is_like(&self.violation));
        if is_same {
            self.tape = tape;
            tell(self);
        }
        is_same
    }

    /// The shortest beginning that suffices, by halves.
    fn cut_end(&mut self, tell: &mut impl FnMut(&Shrinking)) {
        let (mut too_short, mut enough) = (0, self.tape.len());
        while too_short + 1 < enough && self.tries < self.tries_max {
            let middle = too_short + (enough - too_short) / 2;
            let mut tape = self.tape.clone();
            tape.truncate(middle);
            if self.try_tape(tape, tell) {
                enough = middle;
            } else {
                too_short = middle;
            }
        }
    }

    fn tame_sites(&mut self, tell: &mut impl FnMut(&Shrinking)) {
        let wild = self.tape.iter().filter(|(_, value)| *value != 0);
        let sites: BTreeSet<String> = wild.map(|(site, _)| site.to_owned()).collect();
        for site in sites {
            let mut tape = self.tape.clone();
            tape.tame(|_, name| name == site);
            self.try_tape(tape, tell);
        }
    }

    /// Tames blocks of the choices that are left, from half of them down to single ones.
    fn tame_blocks(&mut self, tell: &mut impl FnMut(&Shrinking)) {
        let mut size = self.wild().div_ceil(2);
        while size > 0 && self.tries < self.tries_max {
            let mut start = 0;
            while start < self.wild() && self.tries < self.tries_max {
                let wild = self.tape.iter().enumerate().filter(|(_, (_, value))| *value != 0);
                let block: BTreeSet<usize> =
                    wild.map(|(position, _)| position).skip(start).take(size).collect();
                let mut tape = self.tape.clone();
                tape.tame(|position, _| block.contains(&position));
                if !self.try_tape(tape, tell) {
                    start += size;
                }
            }
            size /= 2;
        }
    }
}

//! The name of one case, from which it can be tried again.

use std::fmt;
use std::str::FromStr;

use runtime::sim::CrashKind;

use super::script::{Failure, FailureKind};

/// One death: where in the scenes, of what kind, and which of all fates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Death {
    /// Place of the scene.
    pub scene: usize,
    /// The kind.
    pub kind: CrashKind,
    /// Place of the fates among all of that scene.
    pub fates: usize,
}

/// One case: a script, perhaps a failure in it, and one death after the other.
///
/// As text: `segments:118k3:20p0` is the script `segments`, in which the victim is killed at scene
/// 118 with the fates of number 3, and loses power at scene 20 of its recovery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// Name of the script.
    pub script: String,
    /// The failure.
    pub failure: Option<Failure>,
    /// The deaths.
    pub deaths: Vec<Death>,
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.script)?;
        if let Some(Failure { step, kind }) = self.failure {
            let kind = match kind {
                FailureKind::Medium => 'm',
                FailureKind::Full => 'f',
            };
            write!(formatter, "@{step}{kind}")?;
        }
        for Death { scene, kind, fates } in &self.deaths {
            let kind = match kind {
                CrashKind::Kill => 'k',
                CrashKind::PowerLoss => 'p',
            };
            write!(formatter, ":{scene}{kind}{fates}")?;
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Case, String> {
        let mut parts = text.split(':');
        let mut named = parts.next().unwrap_or_default().split('@');
        let script = named.next().unwrap_or_default().to_owned();
        let failure = named.next().map(failure_of).transpose()?;
        let deaths = parts.map(death_of).collect::<Result<_, _>>()?;
        Ok(Case { script, failure, deaths })
    }
}

fn failure_of(text: &str) -> Result<Failure, String> {
    let kinds = [('m', FailureKind::Medium), ('f', FailureKind::Full)];
    let failure = kinds.into_iter().find_map(|(letter, kind)| {
        Some(Failure { step: text.strip_suffix(letter)?.parse().ok()?, kind })
    });
    failure.ok_or_else(|| format!("`{text}` is no failure; one looks like 12m or 12f"))
}

fn death_of(text: &str) -> Result<Death, String> {
    let kinds = [('k', CrashKind::Kill), ('p', CrashKind::PowerLoss)];
    let death = kinds.into_iter().find_map(|(letter, kind)| {
        let (scene, fates) = text.split_once(letter)?;
        Some(Death { scene: scene.parse().ok()?, kind, fates: fates.parse().ok()? })
    });
    death.ok_or_else(|| format!("`{text}` is no death; one looks like 118k3 or 20p0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        for text in ["first-start", "segments:118k3:20p0", "failing-disk@12f:1p63"] {
            assert_eq!(text.parse::<Case>().map(|case| case.to_string()), Ok(text.to_owned()));
        }
        for bad in ["a:1", "a:k1", "a:1x2", "a@5", "a@xm", ":1k"] {
            assert!(bad.parse::<Case>().is_err(), "{bad}");
        }
    }
}

//! A command that runs as long as it may: in a process group of its own, so that all of it can be
//! stopped, and gone when this process is killed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};

use super::exit::{Exit, Failure};

/// A command that was started. Dropping it kills its group.
pub(super) struct RunningCommand {
    child: Child,
    ended: bool,
}

impl RunningCommand {
    /// Starts a command with more in its environment.
    pub(super) fn start(
        command: &[OsString],
        environment: &[(&str, &OsStr)],
    ) -> Result<RunningCommand, Failure> {
        let mut prepared = prepare(command)?;
        prepared.envs(environment.iter().copied()).process_group(0);
        // SAFETY: between fork and exec only prctl(2) is called, which is a plain system call and
        // touches no memory of this process.
        unsafe { prepared.pre_exec(die_with_the_parent) };
        let child = prepared.spawn().map_err(|error| cannot_run(command, &error))?;
        Ok(RunningCommand { child, ended: false })
    }

    /// How it has ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        let status = self.child.try_wait()?;
        self.ended |= status.is_some();
        Ok(status)
    }

    /// Sends a signal to the command and all that it has started.
    pub(super) fn signal(&self, signal: i32) {
        let Ok(group) = i32::try_from(self.child.id()) else { return };
        // SAFETY: kill(2) touches no memory. The group is that of a child that was not waited for,
        // so that its number cannot have been given to another one.
        let _ = unsafe { libc::kill(-group, signal) };
    }

    /// Ends it at once and waits for that.
    pub(super) fn kill(&mut self) -> Result<ExitStatus, Failure> {
        self.signal(libc::SIGKILL);
        let status = self.child.wait()?;
        self.ended = true;
        Ok(status)
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        if !self.ended {
            // There is nobody left to tell.
            let _ = self.kill();
        }
    }
}

/// Ends as a command has ended.
pub(super) fn pass_on(status: ExitStatus) -> Result<(), Failure> {
    let code = match (status.code(), status.signal()) {
        (Some(0), _) => return Ok(()),
        (Some(code), _) => code,
        (None, signal) => 128 + signal.unwrap_or_default(),
    };
    Err(Failure::of_command(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// A command that was not started yet.
pub(super) fn prepare(command: &[OsString]) -> Result<Command, Failure> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::new(Exit::Usage, "no command is given after `--`"));
    };
    let mut prepared = Command::new(program);
    prepared.args(arguments);
    Ok(prepared)
}

/// Why a command was not started.
pub(super) fn cannot_run(command: &[OsString], error: &io::Error) -> Failure {
    let program = command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    let exit = match error.kind() {
        io::ErrorKind::NotFound => Exit::NoCommand,
        _ => Exit::CannotRun,
    };
    Failure::new(exit, format!("{program} cannot be run: {error}"))
}

/// The kernel kills the command when this process ends without having stopped it.
fn die_with_the_parent() -> io::Result<()> {
    // SAFETY: prctl(2) with these arguments changes an attribute of the calling process only.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

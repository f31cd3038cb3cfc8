//! How a command ends: its exit code, and the error that carries one.

use std::process::ExitCode;

use crate::cli::text;
use crate::model::view::Problem;

/// What the exit code tells a script. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It failed for another reason than those below.
    Failed = 1,
    /// The command line, or what was sent, is not valid.
    Usage = 2,
    /// There is no such thing, or nothing matched.
    NotFound = 3,
    /// The state of the thing does not allow it.
    Conflict = 4,
    /// The caller may not do it.
    NotAllowed = 5,
    /// The daemon cannot be reached.
    Unreachable = 6,
    /// It is still under way after the time that was given.
    TimedOut = 7,
    /// `send --wait`: a delivery ended dead or cancelled.
    Undelivered = 8,
    /// `health`: deliveries are late, or the daemon cannot be reached.
    Unhealthy = 69,
    /// `run`: the store does not open, or failed (`EX_IOERR`).
    StoreFailed = 74,
    /// The configuration is not valid (`EX_CONFIG`).
    ConfigInvalid = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error with its exit code. Any other error ends with [`Exit::Failed`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What is said on stderr, after `postrider: `.
    pub message: String,
}

impl Failure {
    /// A failure that ends the process like this.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }
}

impl From<Problem> for Failure {
    /// The daemon's refusal, with each fault on a line of its own unless it has been said.
    fn from(problem: Problem) -> Failure {
        let exit = match problem.status {
            400 | 413 | 415 | 422 => Exit::Usage,
            401 | 403 => Exit::NotAllowed,
            404 => Exit::NotFound,
            409 | 410 | 412 => Exit::Conflict,
            _ => Exit::Failed,
        };
        let mut message = format!("{} ({})", problem.detail, problem.code);
        for fault in problem.errors.iter().filter(|fault| !fault.pointer.is_empty()) {
            let line = format!("{}: {}", fault.pointer, fault.detail);
            if !problem.detail.contains(&line) {
                message.push_str(&format!("\n  {line}"));
            }
        }
        Failure { exit, message: text::clean_lines(&message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Code;
    use crate::model::view::Fault;

    #[test]
    fn refusals_have_the_exit_code_of_their_kind() {
        let exit = |code| Failure::from(Problem::new(code, "")).exit;
        assert_eq!(exit(Code::Validation), Exit::Usage);
        assert_eq!(exit(Code::NotFound), Exit::NotFound);
        assert_eq!(exit(Code::WrongState), Exit::Conflict);
        assert_eq!(exit(Code::Forbidden), Exit::NotAllowed);
        assert_eq!(exit(Code::QueueFull), Exit::Failed);
    }

    #[test]
    fn faults_are_listed() {
        let faults = vec![Fault::new("/a", "x", "is wrong"), Fault::new("/b", "x", "is odd")];
        let failure = Failure::from(Problem::invalid(faults));
        assert_eq!(
            failure.message,
            "2 fields are not valid (validation)\n  /a: is wrong\n  /b: is odd"
        );
        let one = Failure::from(Problem::invalid(vec![Fault::new("/a", "x", "is wrong")]));
        assert_eq!(one.message, "/a: is wrong (validation)");
    }
}

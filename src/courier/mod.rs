//! One attempt: from an event and a target to an outcome.

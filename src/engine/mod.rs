//! The state machine: decisions leave as effects.

//! Rules as functions: no state, no clock, no chance of their own.

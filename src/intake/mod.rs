//! Where events come in.

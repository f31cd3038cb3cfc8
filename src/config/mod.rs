//! TOML and environment, read once, checked whole: a `Config` means what it says.

//! The configuration of the demo, as `--config` would read it.

/// What describes the gate of the demo.
pub(super) const FILE: &str = include_str!("sessiongate.toml");

//! The configuration of the demo, as `--config` would read it.

/// The configuration file of the demo's gate.
pub(super) const FILE: &str = include_str!("sessiongate.toml");

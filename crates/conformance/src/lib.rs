//! Sends hostile requests to any auth gateway, and records what its upstream receives.
//!
//! It starts a recording upstream, sends raw bytes to the gateway, and judges both the response and what arrived upstream:
//!
//! ```text
//! client ─ raw bytes → the gateway under test ─ bytes → recorder
//! ```
//!
//! The gateway must forward everything to the recorder, make everything below one path public, and demand a session for
//! everything else. [`Target`] describes this setup, [`catalogue`] lists the [`Case`]s, and [`run`] returns a [`Report`]. Every
//! case tests a general rule for gateways; none is specific to a product.

mod answer;
mod case;
mod cases;
mod client;
mod clock;
mod http2;
mod judgment;
mod latin;
mod probe;
mod profile;
mod readings;
mod recorder;
mod report;
mod request;
mod run;
mod slow;
mod target;

pub use case::{Case, Class, Level, Needs};
pub use profile::{OriginalRequest, Profile};
pub use report::{Outcome, Report, Row, described, list_markdown};
pub use run::{SetupError, catalogue, run};
pub use target::Target;

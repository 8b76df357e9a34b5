//! Asks any auth gateway hostile questions, and records what its upstream sees.
//!
//! It starts an upstream that records, sends raw bytes to the gateway, and judges both the answer and what arrived:
//!
//! ```text
//! client ─ raw bytes → the gateway under test ─ bytes → recorder
//! ```
//!
//! The gateway must forward everything to the recorder, let everybody see what lies below one path, and demand a
//! session for everything else. [`Target`] says where all that is, [`catalogue`] names the [`Case`]s, and [`run`] makes
//! a [`Report`] of them. Every case is a generic probe of a rule that gateways have; none is made for a product.

mod answer;
mod case;
mod cases;
mod client;
mod clock;
mod http2;
mod judgement;
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
pub use profile::{Profile, Question};
pub use report::{Outcome, Report, Row, described, list_markdown};
pub use run::{SetupError, catalogue, run};
pub use target::Target;

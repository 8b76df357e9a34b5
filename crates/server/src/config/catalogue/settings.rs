//! The settings of the environment and of the top level of the file, in the order of the settings table.

mod limits;
mod lookups;
mod proxy;
mod revocations;
mod running;
mod sessions;
mod stores;
mod tls;

use self::limits::LIMITS;
use self::lookups::LOOKED_UP;
use self::proxy::{TIME, WHAT_GOES_ON, WHAT_TO_PROTECT};
use self::revocations::REVOCATIONS;
use self::running::{DEVELOPMENT, RUNNING};
use self::sessions::{SESSIONS, TOKENS};
use self::stores::STORED;
use self::tls::TLS;
use super::form::Section;

/// Every section, and with it every setting.
pub(in crate::config) const SECTIONS: &[Section] = &[
    Section {
        title: "What to protect",
        meaning: "",
        rows: WHAT_TO_PROTECT,
    },
    Section {
        title: "TLS",
        meaning: "[docs/tls.md](docs/tls.md)",
        rows: TLS,
    },
    Section {
        title: "Sessions",
        meaning: "",
        rows: SESSIONS,
    },
    Section {
        title: "Bearer tokens of machines and APIs",
        meaning: "",
        rows: TOKENS,
    },
    Section {
        title: "Sessions in a database or Redis",
        meaning: "[docs/database-sessions.md](docs/database-sessions.md)",
        rows: LOOKED_UP,
    },
    Section {
        title: "Users and stores",
        meaning: "",
        rows: STORED,
    },
    Section {
        title: "Revocations",
        meaning: "[docs/revocation.md](docs/revocation.md#revoking-sessions)",
        rows: REVOCATIONS,
    },
    Section {
        title: "What services receive",
        meaning: "",
        rows: WHAT_GOES_ON,
    },
    Section {
        title: "Timeouts",
        meaning: "",
        rows: TIME,
    },
    Section {
        title: "Limits",
        meaning: "[docs/limits.md](docs/limits.md)",
        rows: LIMITS,
    },
    Section {
        title: "Running the process",
        meaning: "",
        rows: RUNNING,
    },
    Section {
        title: "Development only",
        meaning: "",
        rows: DEVELOPMENT,
    },
];

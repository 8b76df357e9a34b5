//! The decision: whether a request may enter, and as whom.
//!
//! [`Gate::decide`] makes that decision in one straight line. It takes [`Facts`] about a request and the time, and returns either
//! a [`Permit`], which carries the terms of entry, or a [`Refusal`], which says why not. The caller turns a permit into an
//! [`Admitted`] request, the only kind that the upstream client accepts; and a refusal has a [`RefusalClass`], which is all that
//! the client may learn about it.
//!
//! This crate uses `http` types and the crates `session` and `http1`. It has no sockets, no drivers, no clock and no logger:
//! stores come in through the [`UserStore`] and [`SessionStore`] traits, an issuer's keys through [`IssuerKeys`], the time as an
//! argument.

mod address;
mod bypass;
mod candidates;
mod certificate;
mod condition;
mod decision;
mod exceeded;
mod explain;
mod facts;
mod forwarded;
mod hygiene;
mod identity;
mod ignorable;
mod issuer;
mod names;
mod permit;
mod profile;
mod proxies;
mod readings;
mod realm;
mod refusal;
mod restriction;
mod revocations;
mod routes;
mod same_origin;
mod stores;
mod trailers;

pub use address::write_address;
pub use bypass::Bypass;
pub use certificate::ClientCertificate;
pub use condition::{ClaimPath, ColumnRef, Condition, Demand, Scalar, Test, TestKind, Verdict};
pub use decision::Gate;
pub use exceeded::{Exceeded, FindError, RateLimited};
pub use explain::Demands;
pub use facts::{Arrival, Facts};
pub use forwarded::ForwardedHeader;
pub use hygiene::{Hygiene, websocket_fields};
pub use identity::{EmailHeader, IdentityRules};
pub use ignorable::is_ignorable;
pub use issuer::{Issuer, IssuerKeys, Newer};
pub use permit::{Admission, Admitted, Permit, Rewrite};
pub use profile::{
    BuiltInProfile, Encoding, Groups, GroupsSource, HeaderProfile, HeaderSource, IdentityHeader,
};
pub use proxies::{ForwardedOrigin, TrustedProxies};
pub use realm::Realm;
pub use refusal::{Refusal, RefusalClass, Refused};
pub use restriction::Restriction;
pub use revocations::{
    Revocation, RevocationList, RevocationVerdict, Revocations, Revoked, RevokedBy,
};
pub use routes::{
    Access, Ambiguity, Conflict, Differs, GapRequests, HostPattern, InvalidHost, InvalidPath,
    Matched, Methods, NearMiss, OtherReading, PathPattern, PathReading, Pattern, Route, RouteGap,
    RouteRow, Routes, has_encoded_control,
};
pub use same_origin::ClaimedOrigin;
pub use stores::{KnownSession, Lookup, LookupSource, SessionStore, StoreError, User, UserStore};

//! The conformance suite (`crates/conformance`) against the running gate, and against proxies that ask it.
//!
//! It is a test binary of its own, because its clients wait only for seconds: beside other tests on a small machine, they would
//! measure the machine.

#[path = "../fronts/documents.rs"]
mod documents;
#[path = "../fronts/front.rs"]
#[expect(
    dead_code,
    reason = "the tests of the fronts also ask what each answers"
)]
mod front;
mod gate;
mod table;
#[path = "../fronts/traefik.rs"]
mod traefik;

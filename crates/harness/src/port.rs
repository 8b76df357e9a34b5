//! Free ports for servers that must be told their port.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Returns a loopback port that was free a moment ago and that this process has not handed out before.
///
/// The port lies below the range from which Linux takes the local ports of outgoing connections (32768 and up), so that no
/// connection takes it while a server is stopped and started again. Another process may still take it first: the caller then
/// retries with the next one.
///
/// # Panics
/// When none of the 16,000 ports is free.
pub fn free_port() -> u16 {
    static HANDED_OUT: AtomicU32 = AtomicU32::new(0);
    // Test binaries that run side by side start far apart.
    let start = std::process::id().wrapping_mul(977);
    for _ in 0..PORTS {
        let step = HANDED_OUT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + u16::try_from(start.wrapping_add(step) % PORTS).expect("below PORTS");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!(
        "no free port between {FIRST} and {}",
        u32::from(FIRST) + PORTS
    );
}

const FIRST: u16 = 16_000;
const PORTS: u32 = 16_000;

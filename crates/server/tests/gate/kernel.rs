//! System calls that the kernel or a seccomp filter forbids, and resources that run out.

use std::path::Path;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use harness::{Echo, Gate, mint};

use crate::support::signed_in;

/// Starts a program under a seccomp filter with which one system call fails with EPERM, as with those of container engines:
/// `python3 -c … NUMBER PROGRAM WORD…`.
const FORBID_SYSCALL: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
code = b"".join(struct.pack("HBBI", *step) for step in [
    (0x20, 0, 0, 0),                   # load the number of the call
    (0x15, 0, 1, int(sys.argv[1])),    # is it this one?
    (0x06, 0, 0, 0x00050001),          # then EPERM
    (0x06, 0, 0, 0x7fff0000),          # else go on
])
steps = ctypes.create_string_buffer(code)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
program = Program(4, ctypes.addressof(steps))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[2], sys.argv[2:])
"#;

/// The number of io_getevents(2).
const IO_GETEVENTS: &str = if cfg!(target_arch = "x86_64") {
    "208"
} else {
    "4"
};

#[tokio::test]
async fn a_worker_that_fails_ends_the_process_with_an_error() -> Result<()> {
    // Enough files for the listeners and their copies for a process that takes over, but not for the runtimes.
    let finished = Gate::command(Path::new("prlimit"))
        .args(["--nofile=192", env!("CARGO_BIN_EXE_sessiongate"), "serve"])
        .env("UPSTREAM", "http://127.0.0.1:9")
        .env("AUTH_SECRET", mint::SECRET)
        .env("WORKERS", "64")
        .run()
        .await?;
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let last = finished.stderr.lines().last().context("an error")?;
    assert!(
        last.starts_with("sessiongate: worker-"),
        "{}",
        finished.stderr
    );
    assert!(last.contains("Too many open files"), "{last}");
    Ok(())
}

#[tokio::test]
async fn a_seccomp_filter_without_io_getevents_fails_no_request() -> Result<()> {
    let echo = Echo::start().await?;
    let binary = env!("CARGO_BIN_EXE_sessiongate");
    let mut gate = Gate::command(Path::new("python3"))
        .args(["-c", FORBID_SYSCALL, IO_GETEVENTS, binary, "serve"])
        .env("UPSTREAM", echo.url())
        .env("AUTH_SECRET", mint::SECRET)
        .env("WORKERS", "1")
        .start()
        .await?;
    let requests = (0..64).map(async |_| gate.send(&signed_in("/", "ada")).await);
    for answer in try_join_all(requests).await? {
        assert_eq!(answer.status, 200);
    }
    let matches = |line: &str| line.contains("io_getevents(2)").then_some(());
    gate.stderr()
        .wait_for(matches)
        .await
        .context("the log names the fallback")?;
    gate.signal("TERM")?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    Ok(())
}

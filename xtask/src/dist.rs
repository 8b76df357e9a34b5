//! `cargo xtask dist`: builds the binary that is shipped.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::step::{build_gate, command, host, output, root, step};
use crate::{packages, parts};

/// How the binary is built.
#[derive(Args)]
pub struct Options {
    /// Build twice, and optimize the second build with a profile of the first one under load. Releases are built this way. It
    /// takes more than twice as long, and installs the packages that the load needs.
    #[arg(long)]
    profile_guided: bool,
    /// Build without optimization: the same program, slower, in a third of the time. For testing how the static binary is
    /// packaged.
    #[arg(long, conflicts_with = "profile_guided")]
    quick: bool,
}

/// Builds a static release binary for this machine's architecture, writes the licenses of its parts and its SBOM beside it, and
/// prints its path.
///
/// # Errors
/// When the host is not Linux with glibc, or the build fails.
pub fn run(options: &Options) -> Result<()> {
    let binary = if options.profile_guided {
        profile_guided()?
    } else if options.quick {
        compile("quick", "", "target")?
    } else {
        compile("dist", "", "target")?
    };
    if !options.quick {
        parts::write_beside(&binary)?;
    }
    println!("{}", binary.display());
    Ok(())
}

/// Builds the binary with a profile. The profile is kept until the instrumented binary that it was recorded with changes.
///
/// # Errors
/// When the host is not Linux with glibc, a build fails, tools are missing, or the load fails.
pub fn profile_guided() -> Result<PathBuf> {
    let profdata = profdata()?;
    let folder = root().join("target/profile");
    let raw = folder.join("raw");
    let generate = format!("-C profile-generate={}", raw.display());
    let instrumented = compile("dist", &generate, "target/instrumented")?;
    let profile = folder.join(format!("{:016x}.profdata", digest(&instrumented)?));
    if !profile.exists() {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let mut exercise = command(
            "cargo run --quiet --release --locked -p sessiongate-bench -- exercise --binary",
        );
        step(exercise.arg(instrumented))?;
        let mut merge = command(&format!("{} merge", profdata.display()));
        step(merge.arg("-o").arg(&profile).arg(&raw))?;
    }
    let usage = format!("-C profile-use={}", profile.display());
    compile("dist", &usage, "target/profile-guided")
}

/// Compiles the binary, and returns its path. The C library is linked in (`crt-static`), so that the image needs no other file.
/// The target is explicit, although it is the host's own, so that the flags do not apply to build scripts and procedural macros.
fn compile(profile: &str, flags: &str, folder: &str) -> Result<PathBuf> {
    let host = host()?;
    ensure!(
        host.ends_with("-linux-gnu"),
        "the static binary is built on Linux with glibc, not on {host}"
    );
    let mut cargo = command(&format!(
        "cargo build --profile {profile} --locked -p sessiongate --target {host} --target-dir {folder}"
    ));
    let flags = format!("-C target-feature=+crt-static {flags}");
    build_gate(cargo.env("RUSTFLAGS", flags.trim_end()))
}

/// The tool that merges recorded profiles into one, from rustup or Debian, of the compiler's version of LLVM.
fn profdata() -> Result<PathBuf> {
    let sysroot = output(&mut command("rustc --print sysroot"))?;
    let bin = Path::new(sysroot.trim()).join(format!("lib/rustlib/{}/bin", host()?));
    let of_rustup = bin.join("llvm-profdata");
    if of_rustup.exists() {
        return Ok(of_rustup);
    }
    let version = output(&mut command("rustc -vV"))?;
    let mut lines = version.lines();
    let llvm = lines.find_map(|line| line.strip_prefix("LLVM version: "));
    let major = llvm.and_then(|llvm| llvm.split('.').next());
    let major = major.context("rustc names no version of LLVM")?;
    let of_debian = format!("llvm-profdata-{major}");
    if packages::install(&of_debian, &format!("llvm-{major}")).is_err() {
        bail!(
            "a profile needs llvm-profdata of LLVM {major}: `rustup component add llvm-tools`, or a package llvm-{major}"
        );
    }
    Ok(of_debian.into())
}

/// A digest of a binary's content.
fn digest(binary: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    fs::read(binary)?.hash(&mut hasher);
    Ok(hasher.finish())
}

//! The steps of a task: commands that are shown, run from the root of the repository, and timed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Shows `command`, runs it, and prints how long it took.
///
/// # Errors
/// When it cannot be started, or fails.
pub fn step(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    eprintln!("xtask: {shown}");
    let start = clock();
    let status = command
        .current_dir(root())
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    ensure!(status.success(), "`{shown}` failed: {status}");
    took(&words(command), start.elapsed());
    Ok(())
}

/// Prints how long a step took, and records it for [`print_times`].
pub fn took(what: &str, time: Duration) {
    eprintln!("xtask: {what}: {:.1} s", time.as_secs_f64());
    let mut times = TIMES.lock().expect("nobody panics while holding it");
    times.push((what.to_owned(), time));
}

/// Prints how long each step took, the longest first, without steps of less than a second.
pub fn print_times() {
    let mut times = TIMES
        .lock()
        .expect("nobody panics while holding it")
        .clone();
    times.retain(|(_, time)| *time >= Duration::from_secs(1));
    times.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    eprintln!("\nxtask: the times of the steps (some ran at the same time):");
    for (what, time) in times {
        let what: String = what.chars().take(100).collect();
        eprintln!("{:>8.1} s  {what}", time.as_secs_f64());
    }
}

/// The steps since the program started, and how long each took.
static TIMES: Mutex<Vec<(String, Duration)>> = Mutex::new(Vec::new());

/// Runs `command` without showing it, and returns its standard output.
///
/// # Errors
/// When it cannot be started, or fails.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command
        .current_dir(root())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    ensure!(
        output.status.success(),
        "`{shown}` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command of Cargo that builds the gate, and returns the path of its program.
///
/// # Errors
/// When the build fails, or does not produce the program.
pub fn build_gate(cargo: &mut Command) -> Result<PathBuf> {
    let built = cargo
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(built.status.success(), "the build failed");
    let messages = String::from_utf8(built.stdout)?;
    let program = messages.lines().find_map(|message| {
        let message: Value = serde_json::from_str(message).ok()?;
        let target = &message["target"];
        let is_program = target["name"] == "sessiongate" && target["kind"] == json!(["bin"]);
        // The unit tests of a program are an executable with the same name.
        let is_it = is_program && message["profile"]["test"] == false;
        Some(PathBuf::from(
            message["executable"].as_str().filter(|_| is_it)?,
        ))
    });
    program.context("cargo does not say where it puts sessiongate")
}

/// A command whose program and arguments are the words of `line`.
pub fn command(line: &str) -> Command {
    let mut words = line.split_ascii_whitespace();
    let mut command = Command::new(words.next().expect("a command has a program"));
    command.args(words);
    command
}

/// Calls `install` to fill a folder below the root, unless that was already done with the same `pin`. `pin` is a text that
/// changes whenever something else has to be installed.
///
/// # Errors
/// When `install` fails, or the folder cannot be read or written.
pub fn install_pinned(
    folder: &str,
    pin: &str,
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let folder = root().join(folder);
    let noted = folder.join("pin.txt");
    if fs::read_to_string(&noted).is_ok_and(|installed| installed == pin) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    install(&folder)?;
    // Written last, because a folder with this file counts as installed.
    fs::write(noted, pin)?;
    Ok(())
}

/// The target triple of the host.
///
/// # Errors
/// When rustc fails or does not name its host.
pub fn host() -> Result<String> {
    let version = output(&mut command("rustc -vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

/// The root of the repository.
///
/// It is read from Cargo's variable at run time. The value at compile time may be another checkout, because checkouts that share
/// a target folder also share the compiled xtask.
#[expect(
    clippy::disallowed_methods,
    reason = "Cargo's own variable, not a setting of the product"
)]
pub fn root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let root = xtask.as_deref().and_then(Path::parent);
    root.expect("run as `cargo xtask`, from inside the repository")
        .to_owned()
}

/// The command as you would type it: the variables that it sets, its program, its arguments.
pub fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let (name, value) = (name.to_str()?, value?.to_str()?);
        Some(if value.contains(' ') {
            format!("{name}='{value}'")
        } else {
            format!("{name}={value}")
        })
    });
    let variables: Vec<_> = variables.chain([words(command)]).collect();
    variables.join(" ")
}

/// The command as you would type it, without the variables that it sets.
pub fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy().into_owned());
    words.collect::<Vec<_>>().join(" ")
}

/// The current time, to measure durations for the developer.
#[expect(
    clippy::disallowed_methods,
    reason = "durations of steps are for the developer, not part of the product"
)]
pub fn clock() -> Instant {
    Instant::now()
}

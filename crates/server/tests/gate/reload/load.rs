//! Reloads under load: clients notice nothing except the changes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use harness::{Client, Gate, Request};
use serde_json::Value;
use tokio::sync::watch::Sender;
use tokio::task::JoinSet;

use super::{Stack, file_text, put};
use crate::support::signed_in;

/// Returns the configuration of a generation, whose number is in the names of its routes, in the host that the service receives,
/// and in a header. Other routes make the reload some work.
fn generation(number: usize) -> String {
    let mut file = String::from("audit_log = false\nworkers = 2\n");
    for path in ["a", "b"] {
        file += &format!(
            "\n[[route]]\nname = \"{path}-{number}\"\npath = \"/{path}/\"\nheaders = \"marked\"\n\
             rewrite_host = \"host-{number}.internal\"\n"
        );
    }
    for other in 0..20 {
        file += &format!("\n[[route]]\npath = \"/other-{other}/{number}/\"\naccess = \"deny\"\n");
    }
    file + &format!(
        "\n[profile.marked.headers]\n\"X-Generation\" = {{ value = \"{number}\" }}\n\"X-Route\" = {{ route = true }}\n"
    )
}

/// Returns the generation of an answer, and verifies that all its parts have the same.
fn seen_generation(account: &Value, path: &str) -> Result<usize> {
    let headers = account["headers"].as_array().context("headers")?;
    let value = |name: &str| {
        let mut pairs = headers.iter();
        let pair = pairs.find(|pair| {
            pair[0]
                .as_str()
                .is_some_and(|n| n.eq_ignore_ascii_case(name))
        });
        let value = pair.and_then(|pair| pair[1].as_str());
        value.with_context(|| format!("{name} in {account}"))
    };
    let number = value("x-generation")?;
    let expected = (
        format!("{path}-{number}"),
        format!("host-{number}.internal"),
    );
    ensure!(value("x-route")? == expected.0, "{account}");
    ensure!(value("host")? == expected.1, "{account}");
    ensure!(
        value("x-user-id").is_err(),
        "no header that the profile does not have: {account}"
    );
    Ok(number.parse()?)
}

/// Sends requests to both routes until `stop` is set, on a new connection now and then, and reports each answer.
async fn client(proxy: SocketAddr, answers: Sender<usize>, stop: Arc<AtomicBool>) -> Result<()> {
    let requests = ["a", "b"].map(|path| (path, signed_in(&format!("/{path}/x"), "ada")));
    while !stop.load(Ordering::Relaxed) {
        let mut connection = Client::connect(proxy).await?;
        let mut latest = 0;
        for (path, request) in requests.iter().cycle().take(50) {
            let answer = connection.send(request).await?;
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
            let number = seen_generation(&answer.json()?, path)?;
            ensure!(number >= latest, "generation {number} after {latest}");
            latest = number;
            answers.send_modify(|count| *count += 1);
        }
    }
    Ok(())
}

/// Returns the resident memory of a gate, in KiB.
fn memory(gate: &Gate) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("VmRSS")?.parse()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_or_sees_a_mixed_configuration_during_500_reloads() -> Result<()> {
    let stack = Stack::start(&generation(0)).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    let answers = Sender::new(0);
    for _ in 0..4 {
        let answers = answers.clone();
        clients.spawn(client(stack.gate.proxy, answers, Arc::clone(&stop)));
    }
    let mut answered = answers.subscribe();
    let mut admin = Client::connect(stack.gate.admin).await?;
    let mut early = 0;
    for number in 1..=RELOADS {
        let broken = number % 10 == 0;
        let mut file = file_text(&stack.echo, &generation(number));
        if broken {
            file += "realm = \"nobody\"\n[[route]]\npath = \"/a/\"\n";
        }
        put(&stack.file(), &file)?;
        let answer = admin.send(&Request::post("/reload", "")).await?;
        let expected = if broken { 422 } else { 200 };
        ensure!(answer.status == expected, "{number}: {}", answer.text());
        if number == RELOADS / 5 {
            early = memory(&stack.gate)?;
        }
        let enough = *answered.borrow() + 2;
        tokio::select! {
            answered = answered.wait_for(|count| *count >= enough) => drop(answered?),
            ended = clients.join_next() => bail!("a client has stopped: {ended:?}"),
        }
    }
    let late = memory(&stack.gate)?;
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let failed = stack
        .gate
        .metric("sessiongate_reloads_total", ["failed"])
        .await?;
    assert_eq!(failed, 50.0);
    assert!(late < early + MAX_GROWTH, "{early} KiB, then {late} KiB");
    let mut last = stack.gate.connect().await?;
    let answer = last.send(&signed_in("/a/x", "ada")).await?;
    assert_eq!(
        seen_generation(&answer.json()?, "a")?,
        RELOADS - 1,
        "the last was broken"
    );
    Ok(())
}

const RELOADS: usize = 500;

/// The most growth of memory, in KiB. The memory that the allocator keeps varies by a few thousand.
const MAX_GROWTH: usize = 16 << 10;

//! Counts exactly what a request allocates on its way through the gate, so that a change that costs an allocation shows here.
//!
//! The gate runs on the test's own thread, its client and its upstream on other threads, so that only the gate is counted. Memory
//! that the cryptographic library gets from C's allocator is not counted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use allocation_counter::measure;
use arc_swap::ArcSwap;
use serde_json::{Map, json};
use session::{Secret, seal};
use tokio::runtime::LocalOptions;

use super::*;
use crate::clock;
use crate::config::{Config, Variables};
use crate::listener::Address;
use crate::listener::{self, Listener};
use crate::live::Live;

const SECRET: &str = "0123456789abcdef0123456789abcdef0123";

/// The most allocations for each permitted request, on average. Every request has 10: for the heads of both sides, the header map
/// of the client's, the positions of the answer's fields, what is read from the session, the request id, and the boxes of the
/// request and its session, which would otherwise be copied some thirty times. About every fourth request has one more, for a
/// buffer.
const FOR_EACH_REQUEST: f64 = 10.5;

#[test]
fn proxied_request_allocates_little() {
    let (few, many) = (allocations(20), allocations(220));
    let each = (many - few) as f64 / 200.0;
    assert!(each <= FOR_EACH_REQUEST, "{each} for each request");
}

/// The number of allocations of the gate for one connection with this many requests.
fn allocations(requests: usize) -> u64 {
    let proxy = proxy(upstream());
    let any_port = Address::Tcp((Ipv4Addr::LOCALHOST, 0).into());
    let mut listening = listener::listen(&any_port, 1).unwrap();
    let share = listening.shares.remove(0);
    let Address::Tcp(address) = listening.address else {
        panic!("asked for TCP");
    };
    let client = thread::spawn(move || send(address, requests));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    let counted = measure(|| {
        runtime.block_on(async {
            let mut listener = Listener::new(share).unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            let connected = ConnectedClient {
                peer: Peer::of(&stream, peer),
                client: stream.into(),
                is_new: true,
            };
            let proxy = Rc::new(proxy);
            proxy.serve(connected, CancellationToken::new()).await;
        });
    });
    client.join().unwrap();
    counted.count_total
}

fn proxy(upstream: SocketAddr) -> Proxy {
    let settings = [
        ("UPSTREAM", format!("http://{upstream}")),
        ("AUTH_SECRET", SECRET.to_owned()),
    ];
    let config = Config::from_variables(&Variables::default().with(settings)).unwrap();
    Proxy {
        live: View::of(Arc::new(ArcSwap::from_pointee(Live::only(config)))),
        audit: Audit::without_output(),
        metrics: Metrics::new().unwrap(),
        upstream_warnings: WarningLimiter::default(),
        connections: TaskTracker::new(),
    }
}

/// Sends requests of one user, each after the answer to the previous one, and closes the connection.
fn send(gate: SocketAddr, requests: usize) {
    let claims: Map<_, _> = [
        ("sub", json!("clx3k9v2p0000qwer1234tyui")),
        ("name", json!("Ada Lovelace")),
        ("email", json!("ada@example.com")),
        ("iat", json!(clock::now().secs())),
        ("exp", json!(clock::now().secs() + 600)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    let secret = Secret::new(SECRET);
    let name = "authjs.session-token".parse().unwrap();
    let token = seal::authjs(&secret, &name, &claims, [1; 16]);
    let request = format!("GET /a HTTP/1.1\r\nHost: a\r\nCookie: {name}={token}\r\n\r\n");
    let mut stream = BufReader::new(TcpStream::connect(gate).unwrap());
    for _ in 0..requests {
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        assert_eq!(head(&mut stream).unwrap(), "HTTP/1.1 200 OK\r\n");
        stream.read_exact(&mut [0; 2]).unwrap();
    }
}

/// Starts an upstream that gives every request the same answer. Returns its address.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        while head(&mut stream).is_some() {
            let answer = "HTTP/1.1 200 OK\r\nServer: a\r\nDate: b\r\nContent-Type: text/plain\r\n\
                Content-Length: 2\r\nConnection: keep-alive\r\n\r\nok";
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

/// Reads a head, and returns its first line. `None` at the end of the connection.
fn head(stream: &mut impl BufRead) -> Option<String> {
    let mut first = String::new();
    stream.read_line(&mut first).unwrap();
    let mut line = first.clone();
    while line.len() > 2 {
        line.clear();
        stream.read_line(&mut line).unwrap();
    }
    (!first.is_empty()).then_some(first)
}

use std::net::{IpAddr, Ipv4Addr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::*;
use crate::audit::Audit;
use crate::connection::TimeBudget;
use crate::inbound::arrival;
use crate::leases;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::socket::Stream;

const HOUR: Duration = Duration::from_secs(3600);

/// A connection of the gate, and its other end.
fn connection() -> (Connection, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let budget = TimeBudget::per_wait(HOUR);
    let connection = Connection::new(Stream::from(ours), budget, HOUR);
    (connection, theirs)
}

/// Relays a WebSocket between a client and a service that `talk` plays, and returns how it ended.
async fn ends(talk: impl AsyncFnOnce(UnixStream, UnixStream)) -> ExchangeEnd {
    let (audit, metrics) = (Audit::without_output(), Metrics::new().unwrap());
    let arrival = arrival::unreadable(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let record = Record::start(Mode::Proxy, arrival, &audit, &metrics);
    let ((mut client, browser), (upstream, service)) = (connection(), connection());
    let lease = Lease::begin(None, None);
    let link = Link::new(upstream, Instant::now(), None, None);
    let upstream = Upgraded::Connection(Box::new(link));
    let joining = join(&mut client, upstream, &record, lease, 4401);
    let (ended, ()) = tokio::join!(joining, talk(browser, service));
    ended
}

async fn read<const N: usize>(from: &mut UnixStream) -> [u8; N] {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// A frame with "ab", as a service sends it.
const FRAME: [u8; 4] = [0x82, 2, b'a', b'b'];

/// A close frame with 1001, as a client sends it, masked with zeros.
const CLIENTS_CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 3, 0xe9];

#[tokio::test(start_paused = true)]
async fn a_close_frame_waits_for_the_end_of_another_and_is_answered() {
    let ended = ends(async |mut browser, mut service| {
        service.write_all(&FRAME[..3]).await.unwrap();
        assert_eq!(read::<3>(&mut browser).await, FRAME[..3]);
        leases::end(LeaseEnd::GoingAway, |_| true);
        browser.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
        read::<6>(&mut service).await;
        service.write_all(&FRAME[3..]).await.unwrap();
        assert_eq!(read::<1>(&mut browser).await, FRAME[3..]);
        let close = read::<14>(&mut browser).await;
        assert_eq!(&close, b"\x88\x0c\x03\xe9going away");
        browser.write_all(&CLIENTS_CLOSE).await.unwrap();
        assert_eq!(read(&mut service).await, CLIENTS_CLOSE);
    });
    assert_eq!(ended.await, ExchangeEnd::CutOff);
}

#[tokio::test(start_paused = true)]
async fn unfinished_frame_and_silent_client_are_awaited_only_briefly() {
    for (sent, expected) in [(&FRAME[..3], 3), (&FRAME[..], 4 + 14)] {
        let start = tokio::time::Instant::now();
        let mut ends_of_both = None;
        let ended = ends(async |mut browser, mut service| {
            service.write_all(sent).await.unwrap();
            read::<3>(&mut browser).await;
            leases::end(LeaseEnd::GoingAway, |_| true);
            let mut rest = vec![0; expected - 3];
            browser.read_exact(&mut rest).await.unwrap();
            ends_of_both = Some((browser, service));
        });
        assert_eq!(ended.await, ExchangeEnd::CutOff, "{sent:?}");
        assert_eq!(start.elapsed(), CLOSE_TIMEOUT, "{sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn websocket_closed_by_both_sides_is_complete() {
    let ended = ends(async |mut browser, mut service| {
        browser.write_all(&CLIENTS_CLOSE).await.unwrap();
        read::<8>(&mut service).await;
        leases::end(LeaseEnd::GoingAway, |_| true);
        drop(service);
        let mut rest = Vec::new();
        browser.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"", "no second Close");
    });
    assert_eq!(ended.await, ExchangeEnd::Complete);
}

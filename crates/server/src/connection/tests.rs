use std::convert::Infallible;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Sends two megabytes to a reader that takes `bytes` bytes every ten seconds. Beyond a minute, the reader has to take `rate`
/// bytes a second.
async fn sent_to_reader_of(bytes: usize, rate: Option<NonZeroU64>) -> io::Result<()> {
    let (ours, mut theirs) = UnixStream::pair()?;
    let budget = TimeBudget::per_wait(60 * SECOND);
    let connection = Connection::new(Stream::from(ours), budget, 60 * SECOND);
    let mut connection = connection.taking_at_least(rate);
    connection.begin_message();
    connection.output = vec![0; 2_000_000];
    let reading = async {
        let mut taken = vec![0; bytes];
        loop {
            tokio::time::sleep(10 * SECOND).await;
            theirs.read_exact(&mut taken).await?;
        }
    };
    tokio::select! {
        sent = connection.flush() => sent,
        Err::<Infallible, _>(broken) = reading => Err(broken),
    }
}

#[tokio::test(start_paused = true)]
async fn reader_below_the_least_rate_is_cut_off_and_a_faster_one_is_not() {
    let rate = NonZeroU64::new(20_000);
    let slow = sent_to_reader_of(80_000, rate).await.unwrap_err();
    assert_eq!(slow.kind(), io::ErrorKind::TimedOut);
    sent_to_reader_of(400_000, rate).await.unwrap();
    sent_to_reader_of(80_000, None).await.unwrap();
}

//! Commands for what the gate itself keeps in Redis, which no request waits for.

use redis::{Cmd, FromRedisValue};
use tokio::time::{Instant, timeout_at};

use super::Redis;
use super::refusal::{code, describe};

impl Redis {
    /// What Redis answers to this command, whose `name` errors say.
    ///
    /// # Errors
    /// What is wrong, when Redis does not answer in time, or refuses to.
    pub(in super::super) async fn ask<T: FromRedisValue>(
        &self,
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, String> {
        let deadline = Instant::now() + self.target.timeout;
        let Ok(line) = timeout_at(deadline, self.open_line()).await else {
            return Err(self.too_late());
        };
        let (mut connection, number) = line.ok_or_else(|| "there is no connection".to_owned())?;
        let error = match timeout_at(deadline, command.query_async(&mut connection)).await {
            Ok(Ok(answer)) => {
                self.health.answered();
                return Ok(answer);
            }
            Ok(Err(error)) => error,
            Err(_) => {
                let detail = self.too_late();
                self.hang_up(number, &detail);
                return Err(detail);
            }
        };
        let detail = describe(name, &error);
        // An answer is one, if of no use.
        if code(&error).is_none() {
            self.hang_up(number, &detail);
        }
        Err(detail)
    }
}

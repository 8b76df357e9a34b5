//! Commands about the gate's own data in Redis. No request waits for them.

use redis::{Arg, Cmd, FromRedisValue, RedisResult, Value, from_redis_value};

use super::Redis;
use super::node::Replies;
use super::refusal::{code, describe};

impl Redis {
    /// Runs a command whose first argument is its only key. Errors mention its `name`.
    ///
    /// # Errors
    /// When Redis does not answer in time, or refuses the command: a description.
    pub(in super::super) async fn query<T: FromRedisValue>(
        &self,
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, String> {
        let key = match command.args_iter().nth(1) {
            Some(Arg::Simple(key)) => key,
            Some(_) | None => &[],
        };
        self.query_key(key, name, command).await
    }

    /// Runs a command that is about this key alone.
    pub(super) async fn query_key<T: FromRedisValue>(
        &self,
        key: &[u8],
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, String> {
        let commands = std::slice::from_ref(command);
        let replies = self.send_to_holder(key, commands, self.deadline()).await;
        let replies = replies.map_err(|why| self.target.describe(why))?;
        replies.only(name)
    }
}

impl Replies {
    /// Returns the answer to the only command.
    pub(super) fn only<T: FromRedisValue>(mut self, name: &'static str) -> Result<T, String> {
        let answer: RedisResult<Value> = self.answers.pop().unwrap_or(Ok(Value::Nil));
        let error = match answer.and_then(|answer| Ok(from_redis_value(answer)?)) {
            Ok(answer) => {
                self.node.health.answered();
                return Ok(answer);
            }
            Err(error) => error,
        };
        let detail = describe(name, &error);
        // A refusal is an answer, so the connection works.
        if code(&error).is_none() {
            self.disconnect(&detail);
        }
        Err(detail)
    }
}

//! What receives have given, to be given once more.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

/// The most messages of a queue that are remembered.
const REMEMBERED: usize = 30;

/// Messages that were given, by queue.
#[derive(Debug, Default)]
pub(super) struct HandedOut(BTreeMap<String, VecDeque<Value>>);

impl HandedOut {
    /// Takes note of what the server gave. A FIFO queue gives nothing twice while it is in flight, so nothing of one
    /// is remembered.
    pub(super) fn given(&mut self, request: &Value, answer: &Value) {
        let Some(queue) = queue(request).filter(|queue| !queue.ends_with(".fifo")) else { return };
        let given = self.0.entry(queue.to_owned()).or_default();
        given.extend(answer["Messages"].as_array().into_iter().flatten().cloned());
        given.drain(..given.len().saturating_sub(REMEMBERED));
    }

    /// The answer to a receive with messages that were given before; `None` where there were none.
    pub(super) fn again(&self, request: &Value) -> Option<Value> {
        let given = self.0.get(queue(request)?).filter(|given| !given.is_empty())?;
        let max = request["MaxNumberOfMessages"].as_u64().unwrap_or(1);
        let max = usize::try_from(max).unwrap_or(1);
        let messages: Vec<_> = given.iter().rev().take(max).cloned().collect();
        Some(json!({ "Messages": messages }))
    }
}

fn queue(request: &Value) -> Option<&str> {
    request["QueueUrl"].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(queue: &str, max: u64) -> Value {
        json!({ "QueueUrl": queue, "MaxNumberOfMessages": max })
    }

    #[test]
    fn a_queue_gives_again_what_it_gave_and_no_more_than_is_asked_for() {
        let mut handed_out = HandedOut::default();
        let request = receive("http://sqs/1/orders", 2);
        assert_eq!(handed_out.again(&request), None);
        handed_out
            .given(&request, &json!({ "Messages": [{ "Body": "1" }, { "Body": "2" }, { "Body": "3" }] }));
        assert_eq!(
            handed_out.again(&request),
            Some(json!({ "Messages": [{ "Body": "3" }, { "Body": "2" }] }))
        );
        assert_eq!(handed_out.again(&receive("http://sqs/1/payments", 2)), None);
    }

    #[test]
    fn a_fifo_queue_gives_nothing_twice() {
        let mut handed_out = HandedOut::default();
        let request = receive("http://sqs/1/orders.fifo", 2);
        handed_out.given(&request, &json!({ "Messages": [{ "Body": "1" }] }));
        assert_eq!(handed_out.again(&request), None);
    }
}

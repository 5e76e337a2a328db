//! The changes of holds and the receipts of a flush as statements: few and bounded, whatever the number.

use outbox_core::log::{Due, Flush, Hold, HoldChange, LogError, Receipt, SubscriptionName};
use sea_orm::{Statement, Value};
use serde::Serialize;
use uuid::Uuid;

use super::{
    sql::{Query, Sql},
    storable,
};

/// Bytes of one document: far below the largest packet that MySQL takes by default, and past the point where more pays.
const DOCUMENT: usize = 1 << 20;

/// Entries of one document.
const ENTRIES: usize = 1_000;

/// The statements, in the order in which they are to run.
pub(super) fn statements(
    sql: &Sql,
    subscription: &SubscriptionName,
    flush: &Flush,
) -> Result<Vec<Statement>, LogError> {
    let (mut inserted, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for change in &flush.holds {
        match change {
            HoldChange::Insert(hold) => inserted.push(hold),
            HoldChange::Update(hold) => updated.push(hold),
            HoldChange::Delete(seq) => deleted.push(*seq),
        }
    }
    let mut to = Statements { name: subscription.as_str().into(), made: Vec::new() };
    for (holds, query) in [(inserted, &sql.hold_insert), (updated, &sql.hold_update)] {
        for holds in holds.chunks(ENTRIES) {
            to.add_holds(sql, query, holds)?;
        }
    }
    let of_seq = |seq: &i64| serde_json::to_string(seq);
    to.add(&sql.hold_delete, "seqs", deleted.iter().map(of_seq))?;
    let receipts = flush.receipts.iter().map(|receipt| serde_json::to_string(&ReceiptText::of(receipt)));
    to.add(&sql.receipt_insert, "receipts", receipts)?;
    Ok(to.made)
}

struct Statements {
    name: Value,
    made: Vec<Statement>,
}

impl Statements {
    /// One statement for each document that the entries fill.
    fn add(
        &mut self,
        query: &Query,
        parameter: &'static str,
        entries: impl Iterator<Item = serde_json::Result<String>>,
    ) -> Result<(), LogError> {
        for document in documents(entries)? {
            self.made.push(query.with(&[("name", self.name.clone()), (parameter, document.into())]));
        }
        Ok(())
    }

    /// The ids of replays come along as bytes too: for SQLite, which reads none out of JSON.
    fn add_holds(&mut self, sql: &Sql, query: &Query, holds: &[&Hold]) -> Result<(), LogError> {
        let mut replays: Vec<u8> = Vec::new();
        let entries: Vec<_> = holds
            .iter()
            .map(|hold| {
                // SQLite counts from 1.
                let replay_at = hold.replay.map(|_| replays.len() + 1);
                replays.extend(hold.replay.iter().flat_map(Uuid::as_bytes));
                serde_json::to_string(&HoldText::of(sql, hold, replay_at))
            })
            .collect();
        for document in documents(entries.into_iter())? {
            self.made.push(query.with(&[
                ("name", self.name.clone()),
                ("holds", document.into()),
                ("replays", replays.clone().into()),
            ]));
        }
        Ok(())
    }
}

/// Packs entries into JSON lists, each within the bounds; an entry is never cut.
fn documents(entries: impl Iterator<Item = serde_json::Result<String>>) -> Result<Vec<String>, LogError> {
    let mut documents: Vec<String> = Vec::new();
    let mut in_last = 0;
    for entry in entries {
        let entry = entry.map_err(LogError::database)?;
        match documents.last_mut() {
            Some(last) if in_last < ENTRIES && last.len() + entry.len() < DOCUMENT => {
                last.push(',');
                last.push_str(&entry);
                in_last += 1;
            }
            _ => {
                documents.push(format!("[{entry}"));
                in_last = 1;
            }
        }
    }
    for document in &mut documents {
        document.push(']');
    }
    Ok(documents)
}

/// A hold as the statements take it. Its ordering key came out of the log, so that it fits.
#[derive(Serialize)]
struct HoldText<'a> {
    seq: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate_id: Option<&'a str>,
    state: &'static str,
    attempts: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    /// In microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_after: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// In hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<String>,
    /// Where its bytes begin among those that come along.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_at: Option<usize>,
}

impl<'a> HoldText<'a> {
    fn of(sql: &Sql, hold: &'a Hold, replay_at: Option<usize>) -> Self {
        let (due_at, due_after) = match hold.due {
            Due::At(moment) => (Some(sql.moment(storable::moment(moment))), None),
            Due::After(delay) => (None, Some(storable::delay(delay))),
            Due::Never => (None, None),
        };
        Self {
            seq: hold.seq,
            aggregate_type: hold.aggregate.as_ref().map(|(kind, _)| kind.as_str()),
            aggregate_id: hold.aggregate.as_ref().map(|(_, id)| id.as_str()),
            state: hold.state.as_str(),
            attempts: storable::attempts(hold.attempts),
            due_at,
            due_after,
            last_error: hold.last_error.as_deref().map(storable::words),
            replay: hold.replay.map(|replay| replay.simple().to_string()),
            replay_at,
        }
    }
}

/// A receipt as the statement takes it.
#[derive(Serialize)]
struct ReceiptText {
    seq: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_id: Option<String>,
    /// In microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ack_within: Option<i64>,
}

impl ReceiptText {
    fn of(receipt: &Receipt) -> Self {
        Self {
            seq: receipt.seq,
            broker_id: receipt.broker_id.as_deref().map(storable::name),
            ack_within: receipt.ack_within.map(storable::delay),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(entries: &[&str]) -> Vec<String> {
        documents(entries.iter().map(|entry| Ok((*entry).to_owned()))).expect("texts")
    }

    #[test]
    fn documents_are_lists_within_their_bounds() {
        assert_eq!(packed(&[]), Vec::<String>::new());
        assert_eq!(packed(&["1", "2", "3"]), ["[1,2,3]"]);
        let large = format!("\"{}\"", "x".repeat(DOCUMENT / 2));
        let documents = packed(&["1", &large, &large, "2"]);
        assert_eq!(documents, [format!("[1,{large}]"), format!("[{large},2]")]);
        let beyond = format!("\"{}\"", "x".repeat(DOCUMENT * 2));
        assert_eq!(packed(&[&beyond, "1"]), [format!("[{beyond}]"), "[1]".into()]);
        assert_eq!(packed(&vec!["1"; ENTRIES * 2 + 1]).len(), 3);
    }
}

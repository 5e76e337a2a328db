//! Reading a page: one statement, one snapshot, one round trip.

use std::fmt::Write as _;

use outbox_core::{
    log::{LogError, Page, ReadRequest},
    message::Seq,
    progress::SeqRanges,
    publisher::Topics,
};
use sea_orm::Value;

use super::{Inner, amount, column, rows::EventRow};

/// No number of an event.
const NO_SEQ: Seq = -1;

/// The place of the column that follows those of an event.
const INTERVENTIONS: usize = 12;

pub(super) async fn read(log: &Inner, request: ReadRequest<'_>) -> Result<Page, LogError> {
    let limit = request.limit;
    // After a take-over the row at the position may be wanted for itself too.
    let position_is_wanted = request.unseen.contains(request.position);
    let mut values: Vec<(&str, Value)> = vec![
        ("name", request.subscription.as_str().into()),
        ("position", request.position.into()),
        ("anchor_only", if position_is_wanted { NO_SEQ } else { request.position }.into()),
        ("topics", topics(request.topics).into()),
        ("limit", amount(limit).into()),
        ("limit_with_anchor", amount(limit.saturating_add(1)).into()),
    ];
    let statement = if request.unseen.is_empty() {
        log.sql.read_tail.with(&values)
    } else {
        bind_ranges(request.unseen, &mut values);
        log.sql.read_with_holes.with(&values)
    };
    let (found, is_cut) = log.sessions.some(statement, request.max_bytes).await?;

    // The same in every row.
    let interventions = found.first().map(|row| column(row, INTERVENTIONS)).transpose()?.flatten();
    let mut page = Page { anchor: None, rows: Vec::with_capacity(found.len()), is_cut, interventions };
    for row in &found {
        let row = EventRow::of(row)?;
        if row.seq == request.position {
            let seen_already = page.anchor.replace(row.id).is_some();
            if seen_already || !position_is_wanted {
                continue;
            }
        }
        if page.rows.len() < limit {
            page.rows.push(row.into_row(request.source));
        }
    }
    Ok(page)
}

/// The wanted topics as a JSON array; `None` for all.
pub(super) fn topics(topics: &Topics) -> Option<String> {
    match topics {
        Topics::All => None,
        Topics::Only(names) => Some(serde_json::Value::from_iter(names.iter().cloned()).to_string()),
    }
}

/// Ranges as both kinds of text that the databases take: two arrays, or one of pairs.
pub(super) fn bind_ranges(ranges: &SeqRanges, values: &mut Vec<(&str, Value)>) {
    let (mut firsts, mut lasts, mut pairs) = (String::from("{"), String::from("{"), String::from("["));
    for (index, range) in ranges.iter().enumerate() {
        let (comma, first, last) = (if index == 0 { "" } else { "," }, range.start(), range.end());
        // Writing to a String does not fail.
        let _ = write!(firsts, "{comma}{first}");
        let _ = write!(lasts, "{comma}{last}");
        let _ = write!(pairs, "{comma}[{first},{last}]");
    }
    firsts.push('}');
    lasts.push('}');
    pairs.push(']');
    values.extend([("firsts", firsts.into()), ("lasts", lasts.into()), ("ranges", pairs.into())]);
}

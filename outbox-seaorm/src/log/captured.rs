//! Events of the relay's own, stored as capture stores one.

use outbox_core::{event::NewEvent, message::Headers};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};

use super::storable;
use crate::capture::insert::insert;

/// Bytes of one statement, but for an event that is larger by itself: copies may be as large as what they are of.
const STATEMENT: usize = 1 << 20;

/// What a TEXT of MySQL holds.
const MYSQL_HEADERS: usize = 65_535;

/// Stores the events, in order.
pub(super) async fn store(connection: &impl ConnectionTrait, events: &[NewEvent]) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    let (mut group, mut size) = (Vec::new(), 0);
    for event in events {
        if !group.is_empty() && size + event.payload.len() > STATEMENT {
            insert(connection, std::mem::take(&mut group)).await?;
            size = 0;
        }
        size += event.payload.len();
        group.push(made_storable(event, backend));
    }
    insert(connection, group).await
}

fn made_storable(event: &NewEvent, backend: DbBackend) -> NewEvent {
    let is_mysql = backend == DbBackend::MySql;
    NewEvent {
        id: event.id,
        event_type: storable::name(&event.event_type),
        event_version: event.event_version,
        topic: storable::name(&event.topic),
        aggregate_type: event.aggregate_type.as_deref().map(storable::name),
        aggregate_id: event.aggregate_id.as_deref().map(storable::name),
        payload: storable::text(&event.payload),
        headers: if is_mysql { within(&event.headers, MYSQL_HEADERS) } else { event.headers.clone() },
        deliver_at: event.deliver_at.map(storable::moment),
        occurred_at: storable::moment(event.occurred_at),
    }
}

/// The shortest headers, as many as fit: what says why an event died is short, what a user sent along may be long.
fn within(headers: &Headers, limit: usize) -> Headers {
    let mut by_length: Vec<(&str, &str)> = headers.iter().collect();
    by_length.sort_by_key(|(_, value)| value.len());
    let mut kept = Headers::new();
    let mut left = limit.saturating_sub(2);
    for (name, value) in by_length {
        // With the quotes, the colon and the comma.
        let size = written(name) + written(value) + 2;
        if size > left {
            tracing::warn!(
                header = name,
                bytes = value.len(),
                "a header of a copied event does not fit the log; left out"
            );
            continue;
        }
        left -= size;
        kept.insert(name, value);
    }
    kept
}

/// Bytes of a text as JSON.
fn written(text: &str) -> usize {
    serde_json::Value::from(text).to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_headers_are_left_out_where_they_do_not_fit() {
        let mut headers = Headers::new();
        headers.insert("long", "\"".repeat(40));
        headers.insert("short", "1");
        headers.insert("middle", "ż".repeat(10));
        let all = serde_json::to_string(&headers).expect("texts").len();
        assert_eq!(within(&headers, all + 1), headers);
        let kept = within(&headers, all - 1);
        assert_eq!(kept.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["middle", "short"]);
        assert!(serde_json::to_string(&kept).expect("texts").len() < all);
    }
}

//! How far a replay has come, as its audit tells it: each chunk leaves one row with the chunk itself.

use outbox_core::message::Seq;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Mode, Selection, Skipped};
use crate::{
    outbox::{OutboxError, audit::Action},
    tables::audit::{Column, Entity},
};

/// What stands in the audit behind the subscription's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Trail {
    pub(super) replay: Uuid,
    pub(super) mode: Mode,
    pub(super) selection: Selection,
    /// The last seq that the replay looks at.
    pub(super) upto: Seq,
    /// The subscription's position when the replay began: what was published later is none of its business.
    pub(super) position: Seq,
    /// The last seq that was looked at.
    pub(super) done: Seq,
    /// What this chunk came to.
    pub(super) events: u64,
    pub(super) skipped: Skipped,
}

impl Trail {
    /// As stored.
    pub(super) fn target(&self, subscription: &str) -> String {
        let text = serde_json::to_string(self).expect("texts, numbers and times are JSON");
        format!("{subscription}/ {text}")
    }

    fn parse(target: &str, subscription: &str) -> Option<Self> {
        serde_json::from_str(target.strip_prefix(subscription)?.strip_prefix("/ ")?).ok()
    }

    /// The last chunk of a replay to this subscription, if it has begun.
    pub(super) async fn last(
        db: &impl ConnectionTrait,
        subscription: &str,
        replay: Uuid,
    ) -> Result<Option<Self>, OutboxError> {
        let rows: Vec<String> = Entity::find()
            .select_only()
            .column(Column::Target)
            .filter(Column::Action.eq(Action::Replay.as_str()))
            .filter(Column::Target.contains(replay.to_string()))
            .order_by_desc(Column::Id)
            .into_tuple()
            .all(db)
            .await?;
        let mut trails = rows.iter().filter_map(|target| Self::parse(target, subscription));
        Ok(trails.find(|trail| trail.replay == replay))
    }
}

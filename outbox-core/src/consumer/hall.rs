//! The lanes that are being worked off: what comes in is handed out here, whichever receiver brought it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    stream::{Stream, StreamExt as _},
};
use tokio::{
    task::{JoinError, JoinSet, unconstrained},
    time::timeout,
};

use super::{
    InboxStore,
    desk::Parcel,
    lane::{Lane, Tools, Waiting},
    receiver::Batch,
    run::LAST_WORDS,
};
use crate::source::{Incoming, Source, SourceError};

/// The lanes that are being worked off.
pub(super) struct Hall<S, I: InboxStore> {
    tools: Arc<Tools<S, I>>,
    lanes: JoinSet<()>,
    groups: HashMap<String, Arc<Lane>>,
}

impl<S: Source, I: InboxStore> Hall<S, I> {
    pub(super) fn new(tools: Arc<Tools<S, I>>) -> Self {
        Self { tools, lanes: JoinSet::new(), groups: HashMap::new() }
    }

    /// Puts deliveries into the lanes of their groups: those of a group all into the same, for a lane that ends at the
    /// first of them gives the others back.
    pub(super) fn hand_out(&mut self, Batch { incoming, mut permits, .. }: Batch) {
        while let Some(ended) = self.lanes.try_join_next() {
            report_lost(ended);
        }
        self.groups.retain(|_, lane| !lane.is_closed());
        let mut lanes: Vec<(Option<String>, Vec<Waiting>)> = Vec::new();
        let mut of_group = HashMap::new();
        for Incoming { receipt, broker_id, attempt, group, message } in incoming {
            let hold = self.tools.held.hold(receipt.clone(), self.tools.broker.visibility());
            let parcel =
                Parcel { receipt, broker_id, attempt: attempt.max(1), message: message.map(Arc::new) };
            let waiting = Waiting { parcel, hold, _permit: permits.pop() };
            let known = group.as_ref().and_then(|group| of_group.get(group).copied());
            if let Some((_, lane)) = known.and_then(|place: usize| lanes.get_mut(place)) {
                lane.push(waiting);
                continue;
            }
            if let Some(group) = &group {
                of_group.insert(group.clone(), lanes.len());
            }
            lanes.push((group, vec![waiting]));
        }
        for (group, waiting) in lanes {
            if let Some(group) = &group {
                self.tools.comebacks.came(group);
            }
            self.begin_lane(group, waiting);
        }
    }

    /// Puts deliveries behind those of their group that are being worked off, and where there are none begins a lane.
    fn begin_lane(&mut self, group: Option<String>, mut waiting: Vec<Waiting>) {
        if let Some(lane) = group.as_ref().and_then(|group| self.groups.get(group)) {
            match lane.extend(waiting) {
                Ok(()) => return,
                Err(back) => waiting = back,
            }
        }
        let lane = Arc::new(Lane::starting_with(group.clone(), waiting));
        if let Some(group) = group {
            self.groups.insert(group, Arc::clone(&lane));
        }
        self.lanes.spawn(Arc::clone(&self.tools).work(lane));
    }

    /// Begins nothing more. What receivers have been answered and nobody has taken yet is given back at once: left
    /// alone, it would come again only when its visibility ends.
    pub(super) fn close(&mut self, answers: &mut (impl Stream<Item = Result<Batch, SourceError>> + Unpin)) {
        self.tools.draining.cancel();
        // Receivers that see it begin no further request.
        while let Some(Some(answer)) = unconstrained(answers.next()).now_or_never() {
            if let Ok(batch) = answer {
                self.hand_out(batch);
            }
        }
    }

    /// Lets running handlers end, gives back what waits, and after `patience` rolls back what still runs.
    pub(super) async fn drain(&mut self, patience: Duration) {
        if timeout(patience, self.join()).await.is_ok() {
            return;
        }
        self.tools.cut_off.cancel();
        if timeout(LAST_WORDS, self.join()).await.is_err() {
            tracing::warn!(
                "the source did not take messages back; they come again when their visibility ends"
            );
            self.lanes.shutdown().await;
        }
    }

    async fn join(&mut self) {
        while let Some(ended) = self.lanes.join_next().await {
            report_lost(ended);
        }
    }
}

fn report_lost(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a consumer's task ended early; its messages come again when their visibility ends");
    }
}

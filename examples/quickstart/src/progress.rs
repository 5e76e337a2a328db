//! How far the job is, asked of the database.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use outbox_seaorm::tables::{event, subscription};
use sea_orm::{DatabaseConnection, EntityTrait as _, PaginatorTrait as _, QueryOrder as _};
use tokio_util::sync::CancellationToken;

use crate::{SUBSCRIPTION, broker::Broker, orders::revision, reconcile};

const REFRESH: Duration = Duration::from_millis(200);

/// Whether there was anything left to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Nothing is on its way any more.
    Everything,
    /// An interruption, or the end of relay or consumer, came first.
    NotYet,
}

/// The bar: changes processed of changes saved.
#[derive(Debug)]
pub struct Progress {
    db: DatabaseConnection,
    bar: ProgressBar,
}

impl Progress {
    pub fn new(db: DatabaseConnection) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} changes processed {elapsed}")
            .expect("the template is well formed");
        Self { db, bar: ProgressBar::new(0).with_style(style) }
    }

    /// Moves the bar while `work` is under way.
    pub async fn show_while<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let refresh = async {
            loop {
                self.refresh().await?;
                tokio::time::sleep(REFRESH).await;
            }
        };
        tokio::select! {
            done = work => done,
            failed = refresh => failed,
        }
    }

    /// Waits until inventory acted on every change, or until nothing is on its way that it still could act on.
    pub async fn until_drained(
        &self,
        broker: &Broker,
        interrupted: &CancellationToken,
        ended: impl Fn() -> bool,
    ) -> Result<Drained> {
        let mut empty_since = None;
        let drained = loop {
            if self.refresh().await? == 0 {
                break Drained::Everything;
            }
            if interrupted.is_cancelled() || ended() {
                break Drained::NotYet;
            }
            if self.relay_is_done().await? && broker.waiting().await? == 0 {
                let since = *empty_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= broker.patience() {
                    break Drained::Everything;
                }
            } else {
                empty_since = None;
            }
            tokio::time::sleep(REFRESH).await;
        };
        self.bar.finish_and_clear();
        Ok(drained)
    }

    /// Moves the bar and gives back how many changes inventory has not acted on.
    async fn refresh(&self) -> Result<u64> {
        let missing = reconcile::lost(&self.db).await?;
        let saved = revision::Entity::find().count(&self.db).await?;
        self.bar.set_length(saved);
        self.bar.set_position(saved.saturating_sub(missing));
        Ok(missing)
    }

    /// Whether the relay has read and settled the whole log.
    async fn relay_is_done(&self) -> Result<bool> {
        let last = event::Entity::find().order_by_desc(event::Column::Seq).one(&self.db).await?;
        let progress = subscription::Entity::find_by_id(SUBSCRIPTION).one(&self.db).await?;
        let Some(progress) = progress else { return Ok(false) };
        Ok(progress.position >= last.map_or(0, |event| event.seq) && progress.holes.is_empty())
    }
}

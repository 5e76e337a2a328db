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

/// The least pause between two looks at the database, and the longest.
const REFRESH: Duration = Duration::from_millis(200);
const SELDOM: Duration = Duration::from_secs(5);

/// For how long the database or the broker may be away; relay and consumer wait for them too.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether there was anything left to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Nothing is on its way any more.
    Everything,
    /// An interruption, or the end of relay or consumer, came first.
    NotYet,
}

/// What can still be waited for.
enum Left {
    /// Every change was acted on.
    Nothing,
    /// Something is between the log and the inventory.
    OnItsWay,
    /// Changes are missing, and nothing seems to be on its way.
    Missing,
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

    /// Moves the bar while `work` is under way. A look that fails is only a bar that stands still.
    pub async fn show_while<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let refresh = async {
            loop {
                let asked = Instant::now();
                let _ = self.refresh().await;
                tokio::time::sleep(pause_after(asked.elapsed())).await;
            }
        };
        tokio::select! {
            done = work => done,
            never = refresh => never,
        }
    }

    /// Waits until inventory acted on every change, or until nothing is on its way that it still could act on.
    pub async fn until_drained(
        &self,
        broker: &Broker,
        interrupted: &CancellationToken,
        ended: impl Fn() -> bool,
    ) -> Result<Drained> {
        let (mut empty_since, mut away_since) = (None, None);
        let drained = loop {
            let asked = Instant::now();
            match self.left(broker).await {
                Ok(Left::Nothing) => break Drained::Everything,
                Ok(Left::Missing) => {
                    away_since = None;
                    if empty_since.get_or_insert(asked).elapsed() >= broker.patience() {
                        break Drained::Everything;
                    }
                }
                Ok(Left::OnItsWay) => (empty_since, away_since) = (None, None),
                Err(error) => {
                    empty_since = None;
                    if away_since.get_or_insert(asked).elapsed() >= PATIENCE {
                        return Err(error);
                    }
                }
            }
            if interrupted.is_cancelled() || ended() {
                break Drained::NotYet;
            }
            tokio::select! {
                () = interrupted.cancelled() => {}
                () = tokio::time::sleep(pause_after(asked.elapsed())) => {}
            }
        };
        self.bar.finish_and_clear();
        Ok(drained)
    }

    async fn left(&self, broker: &Broker) -> Result<Left> {
        Ok(if self.refresh().await? == 0 {
            Left::Nothing
        } else if self.relay_is_done().await? && broker.waiting().await? == 0 {
            Left::Missing
        } else {
            Left::OnItsWay
        })
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

/// A look at large tables takes long: it shall not take more than a tenth of the database's time.
fn pause_after(took: Duration) -> Duration {
    (took * 10).clamp(REFRESH, SELDOM)
}

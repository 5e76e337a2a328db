//! What became of everything, as it is found in the database and in the queues.

use std::{fmt, process::ExitCode};

use anyhow::Result;
use outbox_seaorm::{
    Outbox,
    consumer::ConsumerReport,
    outbox::{EventFilter, EventState},
};
use sea_orm::DatabaseConnection;

use crate::{
    orders::{ORDERS, PROCESSABLE, WITHOUT_ADDRESS},
    queue::Queue,
    shipping,
};

/// What is told at the end, and whether all is well.
#[derive(Debug)]
pub struct Report {
    kind: &'static str,
    url: String,
    events: usize,
    published: usize,
    steps: Vec<shipping::Model>,
    consumed: ConsumerReport,
    dead_letters: usize,
    is_fifo: bool,
}

impl Report {
    pub async fn of(queue: &Queue, db: &DatabaseConnection, consumed: ConsumerReport) -> Result<Self> {
        let events = Outbox::new(db.clone()).events(EventFilter::all()).await?;
        let is_settled = |state: &EventState| matches!(state, EventState::Settled);
        let published =
            events.iter().filter(|event| event.subscriptions.iter().all(|to| is_settled(&to.state)));
        Ok(Self {
            kind: if queue.is_fifo { "FIFO" } else { "standard" },
            url: queue.url.clone(),
            events: events.len(),
            published: published.count(),
            steps: shipping::steps(db).await?,
            consumed,
            dead_letters: queue.dead_letters().await?,
            is_fifo: queue.is_fifo,
        })
    }

    /// The steps of one order, in the order in which they were done.
    fn steps_of(&self, order: i64) -> Vec<&str> {
        self.steps.iter().filter(|step| step.order_id == order).map(|step| &*step.step).collect()
    }

    /// What is not as it should be.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut hold = |what: &str, expected: u64, found: u64| {
            if expected != found {
                faults.push(format!("{what}: expected {expected}, found {found}"));
            }
        };
        hold("events published", self.events as u64, self.published as u64);
        hold("events processed", PROCESSABLE as u64, self.steps.len() as u64);
        hold("dead letters", 1, self.dead_letters as u64);
        if self.consumed.duplicates == 0 {
            faults.push("duplicates dropped: expected one at least, found none".to_owned());
        }
        for order in ORDERS {
            let expected: &[&str] =
                if order == WITHOUT_ADDRESS { &["placed", "paid"] } else { &["placed", "paid", "shipped"] };
            let mut found = self.steps_of(order);
            if !self.is_fifo {
                // A standard queue promises no order.
                found.sort_by_key(|step| expected.iter().position(|expected| expected == step));
            }
            if found != expected {
                faults.push(format!("order {order}: expected {expected:?}, found {found:?}"));
            }
        }
        faults
    }

    pub fn exit_code(&self) -> ExitCode {
        if self.faults().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "queue       {} ({})", self.url, self.kind)?;
        writeln!(
            f,
            "saved       {} orders, and {} events in the same transactions",
            ORDERS.len(),
            self.events
        )?;
        writeln!(f, "published   {} events by the relay", self.published)?;
        for order in ORDERS {
            writeln!(f, "order {order}     {}", self.steps_of(order).join(", "))?;
        }
        writeln!(f, "duplicates  {} dropped by the inbox", self.consumed.duplicates)?;
        let dead = self.dead_letters;
        writeln!(
            f,
            "poison      {dead} message in the dead-letter queue, after {} failures",
            self.consumed.failed
        )?;
        for fault in self.faults() {
            writeln!(f, "WRONG       {fault}")?;
        }
        Ok(())
    }
}

//! The processes of the crash test. Each ends when its standard input does.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use clap::{Parser, Subcommand};
use outbox_crash::roles::{consumer, relay, watch_input, writer};

#[derive(Debug, Parser)]
#[command(about = "One process of the crash test; `cargo test -p outbox-crash` starts and kills them")]
struct Arguments {
    /// The database.
    #[arg(long)]
    url: String,
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Saves orders.
    Writer {
        #[arg(long)]
        number: u64,
        #[arg(long)]
        tasks: u64,
        #[arg(long)]
        seed: u64,
    },
    /// Publishes what was saved.
    Relay {
        #[arg(long)]
        broker: SocketAddr,
        #[arg(long)]
        name: String,
        #[arg(long)]
        lease_ms: u64,
        #[arg(long)]
        page_size: usize,
        #[arg(long)]
        max_batch: usize,
    },
    /// Consumes what was published.
    Consumer {
        #[arg(long)]
        broker: SocketAddr,
    },
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let Arguments { url, role } = Arguments::parse();
    let ended = watch_input();
    match role {
        Role::Writer { number, tasks, seed } => writer::run(&url, number, tasks, seed, ended).await,
        Role::Relay { broker, name, lease_ms, page_size, max_batch } => {
            let pace = relay::Pace { lease: Duration::from_millis(lease_ms), page_size, max_batch };
            relay::run(&url, broker, &name, pace, ended).await
        }
        Role::Consumer { broker } => consumer::run(&url, broker, ended).await,
    }
}

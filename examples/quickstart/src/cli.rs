//! The command line.

use std::{num::NonZeroU32, path::PathBuf, str::FromStr};

use clap::Parser;

/// Saves orders with SeaORM, publishes their events with the relay, processes each once with a consumer, and
/// proves at the end, in SQL, that nothing was lost.
#[derive(Debug, Parser)]
#[command(name = "quickstart", after_help = EXIT_CODES)]
pub struct Cli {
    /// The orders: a CSV file with the columns of examples/quickstart/orders.csv, or `-` for standard input.
    /// Default: that very file
    #[arg(long)]
    pub file: Option<PathBuf>,

    /// Where orders, outbox and inbox live: sqlite://, postgres:// or mysql://. Default: an SQLite file beside
    /// the program. Started again on the same database, the job goes on where it stopped; after a kill it first
    /// waits, at most 30 s, until the lease of the killed run has ended
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,

    /// Publish to the SQS server at this loopback address instead of a broker in memory; needs --queue.
    /// Credentials and region are those of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and
    /// AWS_REGION, or made up
    #[arg(long, value_name = "URL", requires = "queue")]
    pub sqs_endpoint: Option<String>,

    /// The name of the SQS queue; it is made if it is not there, with a dead-letter queue. Each database wants a
    /// queue of its own: a run on another one would take its messages
    #[arg(long, value_name = "NAME", requires = "sqs_endpoint")]
    pub queue: Option<String>,

    /// Throw N events away behind the relay's back, to see that the report notices. Without --database-url
    /// this runs on a database of its own, made anew each time
    #[arg(long, value_name = "drop=N")]
    pub sabotage: Option<Sabotage>,
}

const EXIT_CODES: &str = "Exit codes:
    0  every change of every order was processed, each once and in order
    1  something was lost, repeated or out of order
    2  it could not run: a wrong argument, a missing file, an input without one usable line, a refused connection
  130  interrupted with work left; start it again on the same database to go on";

/// How many events to throw away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sabotage {
    pub drop: NonZeroU32,
}

impl FromStr for Sabotage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("drop=")
            .and_then(|number| number.parse().ok())
            .map(|drop| Self { drop })
            .ok_or_else(|| format!("expected drop=N with N from 1, found `{text}`"))
    }
}

//! Reading the orders: a line of CSV becomes a [`Change`] of one order.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use tokio::sync::mpsc;

/// The orders that come with the program.
const SAMPLE: &str = include_str!("../orders.csv");

/// What a line says: the change that takes an order to this revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub order_id: String,
    pub revision: i32,
    pub action: Action,
}

/// What happens to the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Place { customer: String, address: String, sku: String, quantity: i32, total_cents: i64 },
    Pay,
    Move { address: String },
    Cancel,
}

/// The columns, in any order.
const COLUMNS: [&str; 8] =
    ["order_id", "revision", "action", "customer", "address", "sku", "quantity", "total_cents"];

/// A line of the input with its number, and what it says or what is wrong with it.
#[derive(Debug)]
pub struct Line {
    pub number: u64,
    pub content: Result<Change>,
}

/// The columns as they are written in the file.
#[derive(Debug, Deserialize)]
struct Columns {
    order_id: String,
    revision: i32,
    action: String,
    customer: String,
    address: String,
    sku: String,
    quantity: Option<i32>,
    total_cents: Option<i64>,
}

/// Opens the file, standard input for `-`, or the orders that come with the program.
pub fn open(file: Option<&Path>) -> Result<Box<dyn Read + Send>> {
    Ok(match file {
        None => Box::new(SAMPLE.as_bytes()),
        Some(path) if path == Path::new("-") => Box::new(io::stdin()),
        Some(path) => Box::new(File::open(path).with_context(|| format!("cannot open {}", path.display()))?),
    })
}

/// Reads lines on a thread of its own, because standard input may block for ever; the channel is bounded, so
/// that a large file is read no faster than it is saved. An error, which is the last item, is the input's own:
/// it is no input of ours, or it ends before its end.
pub fn lines(input: impl Read + Send + 'static) -> mpsc::Receiver<Result<Line>> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        if let Err(error) = read_lines(input, &sender) {
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

fn read_lines(input: impl Read, sender: &mpsc::Sender<Result<Line>>) -> Result<()> {
    let mut reader = csv::Reader::from_reader(input);
    let headers = reader.headers().context("cannot read the input")?.clone();
    if let Some(missing) = COLUMNS.iter().find(|column| !headers.iter().any(|header| header == **column)) {
        bail!("the input has no column {missing}: expected a first line with {}", COLUMNS.join(","));
    }
    let mut record = csv::StringRecord::new();
    loop {
        let next = reader.read_record(&mut record);
        let number = match &next {
            Ok(true) => record.position().map_or(0, csv::Position::line),
            Ok(false) => return Ok(()),
            Err(error) => error.position().map_or(0, csv::Position::line),
        };
        let content = match next {
            Err(error) if error.is_io_error() => {
                return Err(error).context("the input could not be read to its end");
            }
            Err(error) => Err(error.into()),
            Ok(_) => record
                .deserialize(Some(&headers))
                .map_err(|error| anyhow!(plain(&error, &headers)))
                .and_then(change),
        };
        // The receiver is gone when the job was interrupted.
        if sender.blocking_send(Ok(Line { number, content })).is_err() {
            return Ok(());
        }
    }
}

/// What is wrong with which column, without the position that the caller prints anyway.
fn plain(error: &csv::Error, headers: &csv::StringRecord) -> String {
    let csv::ErrorKind::Deserialize { err, .. } = error.kind() else { return error.to_string() };
    let column = err.field().and_then(|index| headers.get(usize::try_from(index).ok()?));
    format!("{}: {}", column.unwrap_or("a column"), err.kind())
}

fn change(columns: Columns) -> Result<Change> {
    if columns.order_id.is_empty() {
        bail!("the order's id is empty");
    }
    if columns.revision < 1 {
        bail!("expected a revision from 1, found {}", columns.revision);
    }
    let action = match columns.action.as_str() {
        "place" => Action::Place {
            customer: columns.customer,
            address: columns.address,
            sku: columns.sku,
            quantity: columns
                .quantity
                .filter(|quantity| *quantity > 0)
                .context("expected a quantity from 1")?,
            total_cents: columns.total_cents.context("expected a total in cents")?,
        },
        "pay" => Action::Pay,
        "address" if columns.address.is_empty() => bail!("the new address is empty"),
        "address" => Action::Move { address: columns.address },
        "cancel" => Action::Cancel,
        other => bail!("expected place, pay, address or cancel, found `{other}`"),
    };
    Ok(Change { order_id: columns.order_id, revision: columns.revision, action })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "order_id,revision,action,customer,address,sku,quantity,total_cents\n";

    fn read(text: &str) -> Vec<(u64, Result<Change, String>)> {
        let mut lines = lines(io::Cursor::new(format!("{HEADER}{text}")));
        std::iter::from_fn(|| lines.blocking_recv())
            .map(|line| line.expect("the input can be read"))
            .map(|line| (line.number, line.content.map_err(|error| error.to_string())))
            .collect()
    }

    #[test]
    fn a_malformed_line_has_its_number_and_the_next_one_is_read() {
        let lines =
            read("A-1,1,place,Ada,\"1 Mill\nLane\",MUG,2,100\nA-1,two,pay,,,,,\nA-1,2,pay\nA-1,2,pay,,,,,\n");
        let numbers: Vec<_> = lines.iter().map(|(number, content)| (*number, content.is_ok())).collect();
        // The address of the first order spans two lines.
        assert_eq!(numbers, [(2, true), (4, false), (5, false), (6, true)]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, expected) in [
            (",1,pay,,,,,", "the order's id is empty"),
            ("A-1,0,pay,,,,,", "expected a revision from 1, found 0"),
            ("A-1,1,place,Ada,Lane,MUG,0,100", "expected a quantity from 1"),
            ("A-1,1,place,Ada,Lane,MUG,1,", "expected a total in cents"),
            ("A-1,2,address,,,,,", "the new address is empty"),
            ("A-1,2,refund,,,,,", "expected place, pay, address or cancel, found `refund`"),
            ("A-1,two,pay,,,,,", "revision: invalid digit found in string"),
        ] {
            let lines = read(line);
            assert_eq!(lines[0].1.as_ref().unwrap_err(), expected, "of {line}");
        }
    }

    /// A disk that gives out after some text.
    struct Torn(io::Cursor<Vec<u8>>);

    impl Read for Torn {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("the disk is gone")),
                read => Ok(read),
            }
        }
    }

    #[test]
    fn an_input_that_breaks_off_is_an_error_after_what_was_read() {
        let text = format!("{HEADER}A-1,1,place,Ada,Lane,MUG,1,100\n");
        let mut lines = lines(Torn(io::Cursor::new(text.into_bytes())));
        let first = lines.blocking_recv().expect("a line").expect("it can be read");
        assert!(first.content.is_ok());
        let error = lines.blocking_recv().expect("the error").expect_err("the disk is gone");
        assert_eq!(format!("{error:#}"), "the input could not be read to its end: the disk is gone");
        assert!(lines.blocking_recv().is_none());
    }

    #[test]
    fn every_line_of_the_sample_is_well_formed() {
        let mut lines = lines(SAMPLE.as_bytes());
        let mut count = 0;
        while let Some(line) = lines.blocking_recv() {
            let line = line.expect("the sample can be read");
            line.content.unwrap_or_else(|error| panic!("line {}: {error}", line.number));
            count += 1;
        }
        assert_eq!(count, 4_116);
    }
}

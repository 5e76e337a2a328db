//! A recorder that keeps what it is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// What was told of every metric, by its name and labels: `name{label=value,..}`. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    counters: BTreeMap<String, u64>,
    gauges: BTreeMap<String, Vec<f64>>,
    histograms: BTreeMap<String, Vec<f64>>,
    described: BTreeMap<String, (&'static str, Option<Unit>, String)>,
}

impl Told {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics with the lock held")
    }

    /// The value of a counter; 0 where it was never told.
    pub(crate) fn counter(&self, key: &str) -> u64 {
        self.state().counters.get(key).copied().unwrap_or_default()
    }

    /// The value of a gauge.
    pub(crate) fn gauge(&self, key: &str) -> Option<f64> {
        self.state().gauges.get(key).and_then(|values| values.last().copied())
    }

    /// All values of a gauge, each change once.
    pub(crate) fn changes(&self, key: &str) -> Vec<f64> {
        let mut values = self.state().gauges.get(key).cloned().unwrap_or_default();
        values.dedup();
        values
    }

    /// All values of a histogram.
    pub(crate) fn histogram(&self, key: &str) -> Vec<f64> {
        self.state().histograms.get(key).cloned().unwrap_or_default()
    }

    /// All names with their labels.
    pub(crate) fn keys(&self) -> Vec<String> {
        let state = self.state();
        state.counters.keys().chain(state.gauges.keys()).chain(state.histograms.keys()).cloned().collect()
    }

    /// All gauges.
    pub(crate) fn gauges(&self) -> Vec<String> {
        self.state().gauges.keys().cloned().collect()
    }

    /// What was described: kind, unit and meaning of each name.
    pub(crate) fn described(&self) -> BTreeMap<String, (&'static str, Option<Unit>, String)> {
        self.state().described.clone()
    }

    fn describe(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>, description: &SharedString) {
        let described = (kind, unit, description.to_string());
        self.state().described.insert(name.as_str().to_owned(), described);
    }

    fn handle(&self, key: &Key) -> Arc<Handle> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let key = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::new(Handle { key, told: self.clone() })
    }
}

struct Handle {
    key: String,
    told: Told,
}

impl CounterFn for Handle {
    fn increment(&self, value: u64) {
        *self.told.state().counters.entry(self.key.clone()).or_default() += value;
    }
    fn absolute(&self, value: u64) {
        self.told.state().counters.insert(self.key.clone(), value);
    }
}

impl GaugeFn for Handle {
    fn increment(&self, _: f64) {
        unreachable!("gauges are set");
    }
    fn decrement(&self, _: f64) {
        unreachable!("gauges are set");
    }
    fn set(&self, value: f64) {
        self.told.state().gauges.entry(self.key.clone()).or_default().push(value);
    }
}

impl HistogramFn for Handle {
    fn record(&self, value: f64) {
        self.told.state().histograms.entry(self.key.clone()).or_default().push(value);
    }
}

impl Recorder for Told {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe("counter", &key, unit, &description);
    }
    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe("gauge", &key, unit, &description);
    }
    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe("histogram", &key, unit, &description);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.handle(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.handle(key))
    }
}

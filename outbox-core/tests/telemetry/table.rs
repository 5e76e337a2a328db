//! The table of metrics.

use outbox_core::telemetry::{METRICS, describe_metrics};

use crate::recorder::Told;

#[test]
fn every_metric_is_described_once_with_its_kind_and_unit() {
    let told = Told::default();
    metrics::with_local_recorder(&told, describe_metrics);
    let described = told.described();
    assert_eq!(described.len(), METRICS.len(), "two metrics of one name");
    for metric in METRICS {
        let (kind, unit, description) = &described[metric.name];
        assert_eq!(*kind, metric.kind.as_str(), "{}", metric.name);
        assert_eq!(unit.map(|unit| unit.as_str()), Some(metric.unit.as_str()), "{}", metric.name);
        assert_eq!(description, metric.description);
    }
}

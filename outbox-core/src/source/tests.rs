//! What a source does that says no more than it has to.

use std::sync::Mutex;

use super::*;

const VISIBILITY: Duration = Duration::from_secs(30);

/// Keeps the receipts that begin with `ours`, has lost those that begin with `lost`, and does not answer for others.
#[derive(Default)]
struct Plain {
    extended: Mutex<Vec<String>>,
}

#[async_trait]
impl Source for Plain {
    async fn receive(&self, _: usize) -> Result<Vec<Incoming>, SourceError> {
        Ok(Vec::new())
    }

    async fn ack(&self, _: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        Ok(Vec::new())
    }

    async fn nack(&self, _: &Receipt, _: Duration) -> Result<(), SourceError> {
        Ok(())
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, SourceError> {
        assert_eq!(visibility, VISIBILITY);
        if receipt.0.starts_with("away") {
            return Err(SourceError::Unavailable { reason: "away on purpose".into(), source: None });
        }
        self.extended.lock().expect("nothing panics with the lock held").push(receipt.0.to_string());
        Ok(receipt.0.starts_with("ours"))
    }
}

fn receipts(names: &[&str]) -> Vec<Receipt> {
    names.iter().map(|name| Receipt((*name).into())).collect()
}

#[tokio::test]
async fn extending_many_extends_each_and_gives_back_those_that_are_lost() {
    let source = Plain::default();
    let lost = source.extend_all(&receipts(&["ours 1", "lost 1", "ours 2", "lost 2"]), VISIBILITY).await;
    assert_eq!(lost.expect("it is there"), receipts(&["lost 1", "lost 2"]));
    let extended = source.extended.lock().expect("nothing panics with the lock held");
    assert_eq!(*extended, ["ours 1", "lost 1", "ours 2", "lost 2"]);
}

#[tokio::test]
async fn one_that_is_not_answered_for_keeps_no_other_from_being_extended() {
    let source = Plain::default();
    let answer = source.extend_all(&receipts(&["away", "ours 1", "lost 1"]), VISIBILITY).await;
    assert!(matches!(answer, Err(SourceError::Unavailable { .. })), "found {answer:?}");
    let extended = source.extended.lock().expect("nothing panics with the lock held");
    assert_eq!(*extended, ["ours 1", "lost 1"]);
}

/// Extends all at once and none by itself.
struct Batching;

#[async_trait]
impl Source for Batching {
    async fn receive(&self, _: usize) -> Result<Vec<Incoming>, SourceError> {
        Ok(Vec::new())
    }

    async fn ack(&self, _: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        Ok(Vec::new())
    }

    async fn nack(&self, _: &Receipt, _: Duration) -> Result<(), SourceError> {
        Ok(())
    }

    async fn extend(&self, receipt: &Receipt, _: Duration) -> Result<bool, SourceError> {
        panic!("expected one call for all, found one for {}", receipt.0)
    }

    async fn extend_all(&self, receipts: &[Receipt], _: Duration) -> Result<Vec<Receipt>, SourceError> {
        Ok(receipts[1..].to_vec())
    }
}

#[tokio::test]
async fn a_shared_source_extends_many_in_its_own_way() {
    let source: Arc<dyn Source> = Arc::new(Batching);
    let lost = source.extend_all(&receipts(&["ours", "lost"]), VISIBILITY).await;
    assert_eq!(lost.expect("it is there"), receipts(&["lost"]));
}

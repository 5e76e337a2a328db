//! The cases that every log has to pass: the log in memory does, with each proof, and logs that are broken on purpose
//! fail those that guard against just that.

mod broken;
mod memory;
mod mutants;

use memory::{InMemory, PROOFS};
use outbox_core::testing::log_conformance::{LogCase, Verdict};

mod with_each_proof {
    use super::*;

    async fn in_memory(case: LogCase) {
        for proof in PROOFS {
            case.run(&InMemory::new(proof)).await;
        }
    }

    outbox_core::log_conformance_tests!(
        #[tokio::test(start_paused = true)]
        in_memory
    );
}

#[tokio::test(start_paused = true)]
async fn no_case_is_switched_off_with_every_proof() {
    for case in LogCase::ALL {
        let mut ran = false;
        for proof in PROOFS {
            ran |= case.run(&InMemory::new(proof)).await == Verdict::Passed;
        }
        assert!(ran, "{case} ran with no proof");
    }
}

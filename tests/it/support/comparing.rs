//! Comparisons, driven turn by turn together with capture.

use std::time::{Duration, Instant};

use rowtwin::engine::slot::Tended;
use rowtwin::store::comparison::Repair;
use rowtwin::verify::verifier::Verifier;
use serde_json::Value;

use super::Scene;

/// How long a comparison may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

impl Scene {
    /// Cares for the slot until capture may start, or waits for a person.
    pub async fn tend(&self) -> Tended {
        let began = Instant::now();
        loop {
            match self.engine.tend_slot(None).await.unwrap_or_else(|error| panic!("{error}")) {
                Tended::Busy => assert!(began.elapsed() < PATIENCE, "the slot is busy for ever"),
                tended => return tended,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Compares rows with shadows until that is done; returns how many turns it took.
    pub async fn recover(&self) -> usize {
        let mut recoverers = self.engine.recoverers();
        let (began, mut turns) = (Instant::now(), 0);
        while self.engine.recovering().await.unwrap() {
            self.capture().await;
            for recoverer in &mut recoverers {
                recoverer.turn().await.unwrap();
                turns += 1;
            }
            assert!(began.elapsed() < PATIENCE, "the comparison does not end: {}", self.story().await);
        }
        turns
    }

    /// Makes the slot anew, as a start of the process does, and lets everybody work.
    pub async fn recovered(&self) {
        assert_eq!(self.tend().await, Tended::Ready);
        self.recover().await;
        self.settle().await;
    }

    /// Drops the slot behind everybody's back.
    pub async fn lose_slot(&self) {
        let slot = &self.engine.slot;
        self.run(&format!("select pg_drop_replication_slot('{slot}')")).await;
    }

    /// Works on the verification of a system's binding until that is done.
    pub async fn verify_to_the_end(&self, system: &str) {
        let bound = self.bound(system);
        let mut verifier = Verifier::new(self.engine.store.clone(), bound, self.engine.slot.clone());
        let began = Instant::now();
        while self.number("select count(*) from rowtwin.verification where finished_at is null").await > 0 {
            self.capture().await;
            verifier.turn().await.unwrap();
            assert!(began.elapsed() < PATIENCE, "the verification does not end: {}", self.story().await);
        }
    }

    /// Verifies the binding of a system; returns what differs, as `kind key`.
    pub async fn verified(&self, system: &str, repair: Option<Repair>) -> Vec<String> {
        let bound = self.bound(system);
        self.engine.store.order_verification(bound.id, "a test", repair).await.unwrap();
        self.verify_to_the_end(system).await;
        self.rows(&format!("select * from rowtwin.drift where system = '{system}' order by kind, key"))
            .await
            .iter()
            .map(|one| {
                let name = |field: &str| one[field].as_str().unwrap_or("-").to_owned();
                let fields: Vec<&str> =
                    one["fields"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                format!("{} {} {}", name("kind"), name("key"), fields.join(",")).trim_end().to_owned()
            })
            .collect()
    }
}

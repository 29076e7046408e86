//! Retry: how long to wait before trying again.

use std::time::Duration;

/// The longest wait between two tries of the same thing.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);

const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The wait before try number `attempts + 1`: exponential with full jitter, at most [`LONGEST_WAIT`].
///
/// `chance` is a number in `0.0..1.0`, handed in so that this stays a function of its arguments. A wait that the
/// remote itself asked for (`Retry-After`) is kept as the lower bound and is never shortened by the jitter.
pub fn wait(attempts: u32, chance: f64, asked: Option<Duration>) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(2u32.saturating_pow(attempts.min(20)));
    let ceiling = doubled.min(LONGEST_WAIT);
    let jittered = ceiling.mul_f64(chance.clamp(0.0, 1.0));
    match asked {
        Some(asked) => asked.saturating_add(jittered.min(Duration::from_secs(5))),
        None => jittered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_wait_doubles_up_to_its_ceiling() {
        let ceilings: Vec<u64> = (0..4).map(|attempt| wait(attempt, 1.0, None).as_millis() as u64).collect();
        assert_eq!(ceilings, [500, 1000, 2000, 4000]);
        assert_eq!(wait(60, 1.0, None), LONGEST_WAIT);
    }

    proptest! {
        #[test]
        fn jitter_is_full_and_what_the_remote_asked_for_is_kept(
            attempts in any::<u32>(), chance in 0.0..1.0f64, asked in 0u64..100_000,
        ) {
            prop_assert!(wait(attempts, chance, None) <= LONGEST_WAIT);
            let asked = Duration::from_millis(asked);
            prop_assert!(wait(attempts, chance, Some(asked)) >= asked);
        }
    }
}

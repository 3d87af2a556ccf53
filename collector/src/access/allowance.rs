//! What a token's entry, or a flag, says of what its jobs may have, and what is allowed to be said. Pure.

use std::time::Duration;

use serde::Deserialize;

use crate::limits;
use crate::tenant::{Allowance, GpuTime};

/// As it stands in the file.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Asked {
    pub(crate) weight: Option<f64>,
    pub(crate) max_waiting: Option<usize>,
    pub(crate) max_running: Option<usize>,
    pub(crate) gpu_seconds: Option<u64>,
    pub(crate) gpu_window: Option<String>,
}

impl Asked {
    /// Errors begin with the key.
    pub(crate) fn checked(self) -> Result<Allowance, String> {
        Ok(Allowance {
            weight: weight(self.weight)?,
            max_waiting: self.max_waiting,
            max_running: at_least_one("max_running", self.max_running)?,
            gpu: gpu(self.gpu_seconds, self.gpu_window.as_deref())?,
        })
    }
}

fn weight(asked: Option<f64>) -> Result<f64, String> {
    let (weight, allowed) = (asked.unwrap_or(1.0), &limits::WEIGHT);
    let bad = || format!("weight is {weight}; allowed is {} to {}", allowed.start(), allowed.end());
    allowed.contains(&weight).then_some(weight).ok_or_else(bad)
}

/// With none of it no job would ever run.
fn at_least_one<T: PartialEq + From<u8>>(key: &str, asked: Option<T>) -> Result<Option<T>, String> {
    match asked.as_ref().is_some_and(|asked| *asked == T::from(0)) {
        true => Err(format!("{key} is 0, so that none of its jobs would run; allowed is 1 and more")),
        false => Ok(asked),
    }
}

fn gpu(seconds: Option<u64>, window: Option<&str>) -> Result<Option<GpuTime>, String> {
    let Some(seconds) = at_least_one("gpu_seconds", seconds)? else {
        return match window {
            None => Ok(None),
            Some(_) => Err("gpu_window says the span of gpu_seconds, which is not there".to_owned()),
        };
    };
    let span = window.map_or(Ok(limits::GPU_WINDOW_UNASKED), humantime::parse_duration).ok();
    // It is not shown: it may be a token that was put in the wrong place.
    let bad = || "gpu_window is no time span from \"1m\" to \"24h\"".to_owned();
    let window = span.filter(|span| limits::GPU_WINDOW.contains(span)).ok_or_else(bad)?;
    Ok(Some(GpuTime { time: Duration::from_secs(seconds), window }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Allowance, String> {
        toml::from_str::<Asked>(text).unwrap().checked()
    }

    #[test]
    fn what_is_not_said_is_not_bounded() {
        assert_eq!(checked("").unwrap(), Allowance::default());
        let all =
            checked("weight = 2\nmax_waiting = 9\nmax_running = 1\ngpu_seconds = 60\ngpu_window = '10m'");
        let gpu = Some(GpuTime { time: Duration::from_secs(60), window: Duration::from_secs(600) });
        assert_eq!(all.unwrap(), Allowance { weight: 2.0, max_waiting: Some(9), max_running: Some(1), gpu });
        let hour = checked("gpu_seconds = 60").unwrap().gpu.unwrap();
        assert_eq!(hour.window, Duration::from_secs(3600));
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_what_is_allowed() {
        for (text, wanted) in [
            ("weight = 0.0", "weight is 0; allowed is 0.01 to 100"),
            ("weight = nan", "weight is NaN; "),
            ("max_running = 0", "max_running is 0, so that none"),
            ("gpu_seconds = 0", "gpu_seconds is 0, so that none"),
            ("gpu_window = '1h'", "gpu_window says the span of gpu_seconds, which is not there"),
            ("gpu_seconds = 1\ngpu_window = '10s'", "gpu_window is no time span from \"1m\" to \"24h\""),
            ("gpu_seconds = 1\ngpu_window = 'week'", "gpu_window is no time span"),
        ] {
            let told = checked(text).unwrap_err();
            assert!(told.contains(wanted), "{text}: {told}");
        }
    }
}

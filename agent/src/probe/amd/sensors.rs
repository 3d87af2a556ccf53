//! Which files of a card's hwmon folder tell what. Numbers and names differ between generations: an Instinct has no
//! `edge` temperature, a newer card `power1_input` instead of `power1_average`.

use std::path::{Path, PathBuf};

use super::files;
use crate::limits::SENSORS;

/// The files of the sensors that a card has.
#[derive(Clone, Debug, Default)]
pub(super) struct Sensors {
    /// In thousandths of a degree Celsius.
    pub(super) temperature: Option<PathBuf>,
    /// In millionths of a watt.
    pub(super) power: Option<PathBuf>,
    /// In millionths of a watt.
    pub(super) power_limit: Option<PathBuf>,
    /// Turns a minute, and the highest of them.
    pub(super) fan: Option<(PathBuf, PathBuf)>,
    /// What the fan is driven with, 0 to 255.
    pub(super) fan_drive: Option<PathBuf>,
    /// In hertz, by the domain's name in a report.
    pub(super) clocks: Vec<(&'static str, PathBuf)>,
}

impl Sensors {
    /// Looks at what there is in a card's folder. A card whose driver is still starting has no sensors yet.
    pub(super) fn find(device: &Path) -> Self {
        let Some(folder) = hwmon(&device.join("hwmon")) else { return Self::default() };
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let clocks = [("graphics", "sclk", 1), ("memory", "mclk", 2)];
        let clock = |(domain, label, place)| Some((domain, input(&folder, "freq", label, place)?));
        Self {
            temperature: input(&folder, "temp", "edge", 1).or_else(|| first(&folder, "temp")),
            power: file("power1_average").or_else(|| file("power1_input")),
            power_limit: file("power1_cap"),
            fan: file("fan1_input").zip(file("fan1_max")),
            fan_drive: file("pwm1"),
            clocks: clocks.into_iter().filter_map(clock).collect(),
        }
    }
}

fn hwmon(parent: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(parent).ok()?.flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).min()
}

/// The sensor of this label, or else the one at this place if it has no label.
fn input(folder: &Path, kind: &str, label: &str, place: u32) -> Option<PathBuf> {
    let label_of = |number: u32| files::read(&folder.join(format!("{kind}{number}_label"))).ok();
    let labelled = (1..=SENSORS).find(|number| label_of(*number).is_some_and(|told| told.trim() == label));
    let number = labelled.or_else(|| label_of(place).is_none().then_some(place))?;
    Some(folder.join(format!("{kind}{number}_input"))).filter(|path| path.is_file())
}

fn first(folder: &Path, kind: &str) -> Option<PathBuf> {
    let inputs = (1..=SENSORS).map(|number| folder.join(format!("{kind}{number}_input")));
    inputs.into_iter().find(|path| path.is_file())
}

//! How NVML is asked. What one GPU does not support is asked once a session and then skipped; what fails otherwise is
//! absent this time.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::PathBuf;

use nvml_wrapper::enum_wrappers::device::{Clock, PerformanceState, TemperatureSensor};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor};
use report::{Gpu, GpuDriver, GpuMemory};

use super::memory_v1::memory_v1;
use super::{Driver, Failure, Gpus, Session};
use crate::limits::{FANS, GPUS};

/// Distributions ship the name without a number only in development packages.
const LIBRARY: &str = "libnvidia-ml.so.1";

const CLOCKS: [(&str, Clock); 4] =
    [("graphics", Clock::Graphics), ("sm", Clock::SM), ("memory", Clock::Memory), ("video", Clock::Video)];

/// The NVIDIA driver of this machine, through its management library.
#[derive(Debug)]
pub struct NvmlDriver {
    library: PathBuf,
}

impl NvmlDriver {
    /// `library`: where it lies; by default the system's loader finds it.
    pub fn new(library: Option<PathBuf>) -> Self {
        Self { library: library.unwrap_or_else(|| LIBRARY.into()) }
    }

    fn failure(&self, error: &NvmlError) -> Failure {
        let library = self.library.display();
        match error {
            NvmlError::LibloadingError(source) => Failure::new(
                "no_library",
                format!(
                    "no NVIDIA driver is installed here ({source}); the host's figures are served without GPUs"
                ),
            ),
            NvmlError::DriverNotLoaded => {
                Failure::new("no_driver", "the NVIDIA kernel module is not loaded: run `modprobe nvidia`")
            }
            NvmlError::LibRmVersionMismatch => Failure::new(
                "version_mismatch",
                format!(
                    "{library} and the loaded NVIDIA kernel module differ in version: reload the module or reboot"
                ),
            ),
            NvmlError::NoPermission | NvmlError::OperatingSystem => Failure::new(
                "permission",
                "the agent may not open /dev/nvidia*: check the permissions of its user and of its unit",
            ),
            other => Failure::new("driver", format!("{library} cannot be used: {other}")),
        }
    }
}

impl Driver for NvmlDriver {
    fn open(&mut self) -> Result<Box<dyn Session>, Failure> {
        let library: &OsStr = self.library.as_os_str();
        let nvml = Nvml::builder().lib_path(library).init().map_err(|error| self.failure(&error))?;
        let count = nvml.device_count().map_err(|error| self.failure(&error))?.min(GPUS);
        if count == 0 {
            return Err(Failure::new("no_device", "the NVIDIA driver knows no GPU"));
        }
        let driver = versions(&nvml);
        tracing::info!(gpus = count, driver = driver.driver_version.as_deref(), "the NVIDIA driver is open");
        let cards = (0..count).map(Card::new).collect();
        Ok(Box::new(NvmlSession { nvml, driver, cards }))
    }
}

fn versions(nvml: &Nvml) -> GpuDriver {
    let cuda = nvml.sys_cuda_driver_version().ok();
    GpuDriver {
        driver_version: nvml.sys_driver_version().ok(),
        nvml_version: nvml.sys_nvml_version().ok(),
        cuda_version: cuda
            .map(|v| format!("{}.{}", cuda_driver_version_major(v), cuda_driver_version_minor(v))),
    }
}

struct NvmlSession {
    nvml: Nvml,
    driver: GpuDriver,
    cards: Vec<Card>,
}

impl Session for NvmlSession {
    fn read(&mut self) -> Result<Gpus, Failure> {
        let nvml = &self.nvml;
        let gpus: Result<Vec<Gpu>, Failure> = self.cards.iter_mut().map(|card| card.read(nvml)).collect();
        Ok(Gpus { driver: self.driver.clone(), gpus: gpus? })
    }
}

/// What is remembered of one GPU during a session.
struct Card {
    index: u32,
    identity: Gpu,
    unsupported: HashSet<&'static str>,
}

impl Card {
    fn new(index: u32) -> Self {
        let identity = Gpu { index: Some(index), ..Gpu::default() };
        Self { index, identity, unsupported: HashSet::new() }
    }

    /// # Errors
    /// The driver as a whole is gone.
    fn read(&mut self, nvml: &Nvml) -> Result<Gpu, Failure> {
        let device = match nvml.device_by_index(self.index) {
            Ok(device) => device,
            Err(error) if is_fatal(&error) => return Err(closed(&error)),
            Err(_) => return Ok(self.lost()),
        };
        self.identify(&device);
        let mut ask = Ask { device: &device, unsupported: &mut self.unsupported, error: None };
        let gpu = read_all(&mut ask, self.identity.clone());
        match ask.error.take() {
            None => Ok(gpu),
            Some(error) if is_fatal(&error) => Err(closed(&error)),
            Some(_) => Ok(self.lost()),
        }
    }

    /// Asks for what is not known yet: on a GPU in trouble the first attempt may fail.
    fn identify(&mut self, device: &Device<'_>) {
        let identity = &mut self.identity;
        identity.uuid = identity.uuid.take().or_else(|| device.uuid().ok());
        identity.name = identity.name.take().or_else(|| device.name().ok());
        identity.pci_bus_id = identity.pci_bus_id.take().or_else(|| Some(device.pci_info().ok()?.bus_id));
    }

    fn lost(&self) -> Gpu {
        Gpu { up: Some(false), ..self.identity.clone() }
    }
}

/// Errors after which no call of this session will succeed again.
fn is_fatal(error: &NvmlError) -> bool {
    matches!(error, NvmlError::Uninitialized | NvmlError::DriverNotLoaded | NvmlError::LibRmVersionMismatch)
}

fn closed(error: &NvmlError) -> Failure {
    Failure::new("driver", format!("the NVIDIA driver has gone: {error}; it is opened again when it is back"))
}

/// Asks one GPU field by field.
struct Ask<'a, 'nvml> {
    device: &'a Device<'nvml>,
    unsupported: &'a mut HashSet<&'static str>,
    /// The error that ended the asking: the GPU or the whole driver is lost.
    error: Option<NvmlError>,
}

impl<'nvml> Ask<'_, 'nvml> {
    fn field<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Device<'nvml>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        if self.error.is_some() || self.unsupported.contains(name) {
            return None;
        }
        match read(self.device) {
            Ok(value) => return Some(value),
            Err(NvmlError::NotSupported | NvmlError::FunctionNotFound | NvmlError::FailedToLoadSymbol(_)) => {
                self.unsupported.insert(name);
            }
            Err(error) if matches!(error, NvmlError::GpuLost) || is_fatal(&error) => self.error = Some(error),
            Err(error) => tracing::debug!(field = name, %error, "a GPU's field could not be read"),
        }
        None
    }
}

fn read_all(ask: &mut Ask<'_, '_>, identity: Gpu) -> Gpu {
    let mut gpu = Gpu { up: Some(true), ..identity };
    read_load(ask, &mut gpu);
    read_body(ask, &mut gpu);
    gpu
}

/// What it works on: engines and memory.
fn read_load(ask: &mut Ask<'_, '_>, gpu: &mut Gpu) {
    if let Some(rates) = ask.field("utilization", Device::utilization_rates) {
        gpu.utilization_ratio = Some(ratio(rates.gpu));
        gpu.memory_controller_utilization_ratio = Some(ratio(rates.memory));
    }
    let encoder = ask.field("encoder", Device::encoder_utilization);
    gpu.encoder_utilization_ratio = encoder.map(|engine| ratio(engine.utilization));
    let decoder = ask.field("decoder", Device::decoder_utilization);
    gpu.decoder_utilization_ratio = decoder.map(|engine| ratio(engine.utilization));
    gpu.memory = ask.field("memory", memory_v2);
    gpu.memory_v1 = ask.field("memory_v1", memory_v1);
}

/// Heat, power, clocks and connection.
fn read_body(ask: &mut Ask<'_, '_>, gpu: &mut Gpu) {
    let temperature = ask.field("temperature", |device| device.temperature(TemperatureSensor::Gpu));
    gpu.temperature_celsius = temperature.map(f64::from);
    gpu.power_watts = ask.field("power", Device::power_usage).map(from_thousandths);
    gpu.power_limit_watts = ask.field("power_limit", Device::enforced_power_limit).map(from_thousandths);
    let energy = ask.field("energy", Device::total_energy_consumption);
    gpu.energy_joules_total = energy.map(|millijoules| millijoules as f64 / 1000.0);
    gpu.clock_hertz =
        ask.field("clocks", |device| clocks(|clock| device.clock_info(clock))).unwrap_or_default();
    gpu.clock_max_hertz =
        ask.field("clocks_max", |device| clocks(|clock| device.max_clock_info(clock))).unwrap_or_default();
    gpu.fan_speed_ratio = ask.field("fans", fans).unwrap_or_default();
    gpu.performance_state =
        ask.field("performance_state", Device::performance_state).and_then(performance_state);
    gpu.pcie_link_generation = ask.field("pcie_generation", Device::current_pcie_link_gen);
    gpu.pcie_link_width = ask.field("pcie_width", Device::current_pcie_link_width);
}

fn memory_v2(device: &Device<'_>) -> Result<GpuMemory, NvmlError> {
    let info = device.memory_info()?;
    Ok(GpuMemory {
        total_bytes: Some(info.total),
        used_bytes: Some(info.used),
        free_bytes: Some(info.free),
        reserved_bytes: Some(info.reserved),
    })
}

/// The domains that answer; an error only if the first does not.
fn clocks(read: impl Fn(Clock) -> Result<u32, NvmlError>) -> Result<BTreeMap<String, f64>, NvmlError> {
    let [(first, clock), rest @ ..] = CLOCKS;
    let mut hertz = BTreeMap::from([(first.to_owned(), from_megahertz(read(clock)?))]);
    for (name, clock) in rest {
        if let Ok(megahertz) = read(clock) {
            hertz.insert(name.to_owned(), from_megahertz(megahertz));
        }
    }
    Ok(hertz)
}

fn fans(device: &Device<'_>) -> Result<BTreeMap<String, f64>, NvmlError> {
    let count = device.num_fans()?.min(FANS);
    let speed = |fan: u32| Some((fan.to_string(), ratio(device.fan_speed(fan).ok()?)));
    Ok((0..count).filter_map(speed).collect())
}

fn performance_state(state: PerformanceState) -> Option<u32> {
    use PerformanceState::{
        Eight, Eleven, Fifteen, Five, Four, Fourteen, Nine, One, Seven, Six, Ten, Thirteen, Three, Twelve,
        Two, Zero,
    };
    let states = [
        Zero, One, Two, Three, Four, Five, Six, Seven, Eight, Nine, Ten, Eleven, Twelve, Thirteen, Fourteen,
        Fifteen,
    ];
    (0..).zip(states).find_map(|(number, one)| (one == state).then_some(number))
}

fn ratio(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

fn from_thousandths(value: u32) -> f64 {
    f64::from(value) / 1000.0
}

fn from_megahertz(megahertz: u32) -> f64 {
    f64::from(megahertz) * 1e6
}

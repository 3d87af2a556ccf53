//! What the library remembers between calls: how often it was opened, and what its opaque handles stand for. Ends
//! with the last `nvmlShutdown`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use crate::events::EventSet;
use crate::failure::{Answer, Failure};
use crate::lock::locked;

static SESSION: Mutex<Session> = Mutex::new(Session::new());

/// The open session, or what is to become one.
pub(crate) fn session() -> MutexGuard<'static, Session> {
    locked(&SESSION)
}

pub(crate) struct Session {
    /// `nvmlInit` less `nvmlShutdown`.
    opens: u32,
    /// The UUID behind each device handle: an index would come to mean another GPU when one goes away.
    devices: Vec<String>,
    pub(crate) sets: Handles<EventSet>,
    /// What was measured in percent when the sample was taken; none before.
    pub(crate) samples: Handles<Option<f64>>,
}

impl Session {
    const fn new() -> Self {
        Self { opens: 0, devices: Vec::new(), sets: Handles::new(), samples: Handles::new() }
    }

    pub(crate) fn open(&mut self) {
        self.opens = self.opens.saturating_add(1);
    }

    /// # Errors
    /// `UNINITIALIZED`: it is not open.
    pub(crate) fn close(&mut self) -> Answer<()> {
        self.check_open()?;
        match self.opens {
            1 => *self = Self::new(),
            _ => self.opens -= 1,
        }
        Ok(())
    }

    /// # Errors
    /// `UNINITIALIZED`.
    pub(crate) fn check_open(&self) -> Answer<()> {
        if self.opens == 0 { Err(Failure::Uninitialized) } else { Ok(()) }
    }

    /// The handle of a device: the same at every call.
    pub(crate) fn device(&mut self, uuid: &str) -> usize {
        let known = self.devices.iter().position(|one| one == uuid);
        let position = known.unwrap_or_else(|| {
            self.devices.push(uuid.to_owned());
            self.devices.len() - 1
        });
        position + 1
    }

    /// # Errors
    /// `INVALID_ARGUMENT`: no such handle was given out.
    pub(crate) fn uuid(&self, device: usize) -> Answer<&str> {
        let position = device.checked_sub(1).ok_or(Failure::InvalidArgument)?;
        self.devices.get(position).map(String::as_str).ok_or(Failure::InvalidArgument)
    }
}

/// Things that callers hold by number. No number is given out twice, and 0, the null pointer, never.
pub(crate) struct Handles<T> {
    given: usize,
    things: BTreeMap<usize, T>,
}

impl<T> Handles<T> {
    const fn new() -> Self {
        Self { given: 0, things: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, thing: T) -> usize {
        self.given += 1;
        self.things.insert(self.given, thing);
        self.given
    }

    /// # Errors
    /// `INVALID_ARGUMENT`: never given out, or freed.
    pub(crate) fn get(&mut self, handle: usize) -> Answer<&mut T> {
        self.things.get_mut(&handle).ok_or(Failure::InvalidArgument)
    }

    /// # Errors
    /// `INVALID_ARGUMENT`: never given out, or freed already.
    pub(crate) fn free(&mut self, handle: usize) -> Answer<()> {
        self.things.remove(&handle).map(drop).ok_or(Failure::InvalidArgument)
    }
}

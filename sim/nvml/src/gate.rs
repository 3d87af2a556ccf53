//! What every call passes before it is answered: the log, delays, hangs, and whether it may succeed at all.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::driver::Driver;
use crate::failure::{Answer, Failure};
use crate::session::session;
use crate::{file, mapped};

/// How often a waiting call looks whether it may go on.
pub(crate) const LOOK_PERIOD: Duration = Duration::from_millis(3);

/// # Errors
/// Why this call fails.
pub(crate) fn enter(symbol: &str) -> Answer<Arc<Driver>> {
    begin(symbol)?;
    check(symbol)
}

/// The same for a call that has been under way for a while.
///
/// # Errors
/// Why this call fails.
pub(crate) fn check(symbol: &str) -> Answer<Arc<Driver>> {
    let driver = file::driver()?;
    session().check_open()?;
    driver.allows(symbol)?;
    check_version(&driver)?;
    Ok(driver)
}

/// # Errors
/// Why the driver cannot be opened.
pub(crate) fn open(symbol: &str) -> Answer<()> {
    let driver = begin(symbol)?;
    driver.allows(symbol)?;
    check_version(&driver)?;
    session().open();
    Ok(())
}

/// A library of another version than the driver can still be closed.
///
/// # Errors
/// It is not open, or made to fail.
pub(crate) fn close(symbol: &str) -> Answer<()> {
    let driver = begin(symbol)?;
    session().check_open()?;
    driver.allows(symbol)?;
    session().close()
}

/// The version of the library: the one in the name of its file, or else the driver's.
pub(crate) fn version(driver: &Driver) -> &str {
    mapped::version().unwrap_or(&driver.driver_version)
}

fn check_version(driver: &Driver) -> Answer<()> {
    if version(driver) == driver.driver_version { Ok(()) } else { Err(Failure::LibRmVersionMismatch) }
}

fn begin(symbol: &str) -> Answer<Arc<Driver>> {
    let driver = file::driver()?;
    log(&driver, symbol);
    std::thread::sleep(driver.delay(symbol));
    let driver = file::driver()?;
    if driver.hangs(symbol) { hang(driver, symbol) } else { Ok(driver) }
}

/// Without the lock of the session: calls of other threads go on, as far as they do not hang themselves.
fn hang(mut driver: Arc<Driver>, symbol: &str) -> Answer<Arc<Driver>> {
    log(&driver, &format!("hanging {symbol}"));
    while driver.hangs(symbol) {
        std::thread::sleep(LOOK_PERIOD);
        driver = file::driver()?;
    }
    Ok(driver)
}

/// A call is answered whether or not it could be logged.
fn log(driver: &Driver, line: &str) {
    let Some(path) = &driver.calls else { return };
    // One write a line, so that lines of several threads or processes do not mix.
    let line = format!("{line}\n");
    let file = OpenOptions::new().create(true).append(true).open(path);
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

//! Places in a caller's memory that answers are written to.

use std::ffi::{c_char, c_uint};

use nvml_wrapper_sys::bindings::nvmlProcessInfo_t;

use crate::failure::{Answer, Failure};

/// Where an answer goes.
pub(super) trait Place: Copy {
    type Value;

    /// Looks whether the caller gave what the call needs.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT`, or `ARGUMENT_VERSION_MISMATCH` for a struct of another version.
    ///
    /// # Safety
    /// Each pointer is null or valid.
    unsafe fn check(self) -> Answer<()>;

    /// # Errors
    /// `INSUFFICIENT_SIZE`: it is too small.
    ///
    /// # Safety
    /// Each pointer is valid, and `check` found nothing wrong.
    unsafe fn put(self, value: Self::Value) -> Answer<()>;
}

/// A call without an answer.
impl Place for () {
    type Value = ();

    unsafe fn check(self) -> Answer<()> {
        Ok(())
    }

    unsafe fn put(self, (): ()) -> Answer<()> {
        Ok(())
    }
}

impl<T> Place for *mut T {
    type Value = T;

    unsafe fn check(self) -> Answer<()> {
        if self.is_null() { Err(Failure::InvalidArgument) } else { Ok(()) }
    }

    unsafe fn put(self, value: T) -> Answer<()> {
        // SAFETY: valid, as the caller promises; what was there is plain data without a destructor.
        unsafe { self.write(value) };
        Ok(())
    }
}

impl<A: Place, B: Place> Place for (A, B) {
    type Value = (A::Value, B::Value);

    unsafe fn check(self) -> Answer<()> {
        // SAFETY: as the caller promises for each.
        unsafe { self.0.check().and(self.1.check()) }
    }

    unsafe fn put(self, (first, second): Self::Value) -> Answer<()> {
        // SAFETY: as the caller promises for each.
        unsafe { self.0.put(first).and(self.1.put(second)) }
    }
}

/// A buffer for a C string with its terminating zero.
#[derive(Clone, Copy)]
pub(super) struct Text(pub(super) *mut c_char, pub(super) c_uint);

impl Place for Text {
    type Value = String;

    unsafe fn check(self) -> Answer<()> {
        // SAFETY: as the caller promises.
        unsafe { self.0.check() }
    }

    unsafe fn put(self, value: String) -> Answer<()> {
        if value.len() >= self.1 as usize {
            return Err(Failure::InsufficientSize);
        }
        let buffer = self.0.cast::<u8>();
        // SAFETY: the buffer has room for the text and a byte more, and cannot be a part of a `String` of ours.
        unsafe {
            buffer.copy_from_nonoverlapping(value.as_ptr(), value.len());
            buffer.add(value.len()).write(0);
        }
        Ok(())
    }
}

/// A struct whose first field, an integer, says which version of it the caller was built with.
#[derive(Clone, Copy)]
pub(super) struct Versioned<T>(pub(super) *mut T, pub(super) c_uint);

impl<T: Copy> Place for Versioned<T> {
    type Value = T;

    unsafe fn check(self) -> Answer<()> {
        // SAFETY: as the caller promises.
        unsafe { self.0.check() }?;
        // SAFETY: valid, as the caller promises, and begins with such an integer.
        let version = unsafe { self.0.cast::<c_uint>().read() };
        if version == self.1 { Ok(()) } else { Err(Failure::ArgumentVersionMismatch) }
    }

    unsafe fn put(self, value: T) -> Answer<()> {
        // SAFETY: as the caller promises.
        unsafe { self.0.put(value) }
    }
}

/// A table of processes: its size and then its length, and its rows. Without room for all, only the length needed is
/// told, which is how callers ask for it.
#[derive(Clone, Copy)]
pub(super) struct Table(pub(super) *mut c_uint, pub(super) *mut nvmlProcessInfo_t);

impl Place for Table {
    type Value = Vec<nvmlProcessInfo_t>;

    unsafe fn check(self) -> Answer<()> {
        // SAFETY: as the caller promises.
        unsafe { self.0.check() }
    }

    unsafe fn put(self, rows: Vec<nvmlProcessInfo_t>) -> Answer<()> {
        // SAFETY: valid, as the caller promises.
        let room = unsafe { self.0.read() } as usize;
        let length = c_uint::try_from(rows.len()).map_err(|_| Failure::Unknown)?;
        // SAFETY: valid, as the caller promises.
        unsafe { self.0.write(length) };
        match rows.len() {
            0 => Ok(()),
            length if length > room => Err(Failure::InsufficientSize),
            _ if self.1.is_null() => Err(Failure::InvalidArgument),
            length => {
                // SAFETY: not null, with room for so many rows, as the caller promises.
                unsafe { self.1.copy_from_nonoverlapping(rows.as_ptr(), length) };
                Ok(())
            }
        }
    }
}

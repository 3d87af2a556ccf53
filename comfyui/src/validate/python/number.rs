//! Python's numbers: integers of any size beside floats, compared exactly.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

/// An `int`, a `bool` (which is an `int`) or a `float`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::validate) enum Number {
    Int(i128),
    /// An `int` beyond all that is compared with it: its digits, and about how much that is.
    Huge {
        digits: String,
        near: f64,
    },
    Float(f64),
}

impl From<&serde_json::Number> for Number {
    fn from(number: &serde_json::Number) -> Self {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::Int)
    }
}

impl Number {
    /// The value as a number, if Python takes it for one where it compares.
    pub(in crate::validate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(Self::Int(i128::from(*flag))),
            Value::Number(number) => Some(Self::from(number)),
            _ => None,
        }
    }

    /// The integer that these digits write, a sign before them.
    pub(super) fn of_digits(digits: &str) -> Self {
        digits.parse().map_or_else(
            |_| {
                let bare = digits.trim_start_matches('+');
                let (sign, bare) = bare.strip_prefix('-').map_or(("", bare), |bare| ("-", bare));
                let digits = format!("{sign}{}", bare.trim_start_matches('0'));
                Self::Huge { near: digits.parse().unwrap_or(f64::NAN), digits }
            },
            Self::Int,
        )
    }

    /// `int(number)` of a finite float: towards zero.
    pub(super) fn truncated(float: f64) -> Self {
        Self::of_digits(&format!("{:.0}", float.trunc()))
    }

    pub(super) fn to_f64(&self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "float() rounds to the nearest as this does")]
            Self::Int(whole) => *whole as f64,
            Self::Huge { near, .. } => *near,
            Self::Float(float) => *float,
        }
    }

    pub(in crate::validate) fn is_float(&self) -> bool {
        matches!(self, Self::Float(_))
    }

    /// Its JSON; `None` where JSON has none (Python writes `NaN` and `Infinity`).
    pub(in crate::validate) fn to_json(&self) -> Option<Value> {
        match self {
            Self::Int(whole) => {
                let small = i64::try_from(*whole)
                    .map(Value::from)
                    .or_else(|_| u64::try_from(*whole).map(Value::from));
                small.ok().or_else(|| serde_json::Number::from_f64(self.to_f64()).map(Value::Number))
            }
            _ => serde_json::Number::from_f64(self.to_f64()).map(Value::Number),
        }
    }

    /// How the two compare, without rounding; `None` where one is no number (`nan`).
    pub(in crate::validate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Int(left), Self::Float(right)) => compare_mixed(*left, *right),
            (Self::Float(left), Self::Int(right)) => compare_mixed(*right, *left).map(Ordering::reverse),
            _ => self.to_f64().partial_cmp(&other.to_f64()),
        }
    }
}

fn compare_mixed(whole: i128, float: f64) -> Option<Ordering> {
    // From here on every float is further from zero than every `i128`.
    const BEYOND: f64 = 1.701_411_834_604_692_3e38;
    if float.is_nan() {
        return None;
    }
    if float.abs() >= BEYOND {
        return 0.0_f64.partial_cmp(&float);
    }
    #[expect(clippy::cast_possible_truncation, reason = "within the range, as just seen")]
    let floor = float.floor() as i128;
    let is_between = float.fract() != 0.0;
    Some(whole.cmp(&floor).then(if is_between { Ordering::Less } else { Ordering::Equal }))
}

/// `str(number)`.
impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(whole) => whole.fmt(formatter),
            Self::Huge { digits, .. } => formatter.write_str(digits),
            Self::Float(float) => write_float(*float, formatter),
        }
    }
}

/// The shortest digits that read back as the same, with an exponent below 1e-4 and from 1e16 on.
fn write_float(float: f64, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !float.is_finite() {
        let text = if float.is_nan() {
            "nan"
        } else if float > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        return formatter.write_str(text);
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let point = if float.fract() == 0.0 { ".0" } else { "" };
        return write!(formatter, "{float}{point}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(formatter, "{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_printed_as_python_prints_them() {
        for (float, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (-1.25e100, "-1.25e+100"),
            (123_456.789, "123456.789"),
            (18_446_744_073_709_551_615.0, "1.8446744073709552e+19"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(Number::Float(float).to_string(), expected);
        }
    }

    #[test]
    fn whole_numbers_and_floats_are_compared_without_rounding() {
        use Ordering::{Equal, Greater, Less};
        let two_to_53 = 9_007_199_254_740_992_i128;
        for (whole, float, expected) in [
            (two_to_53 + 1, 9_007_199_254_740_992.0, Some(Greater)),
            (two_to_53, 9_007_199_254_740_992.0, Some(Equal)),
            (0, 0.5, Some(Less)),
            (0, -0.5, Some(Greater)),
            (-1, -0.5, Some(Less)),
            (i128::MAX, 1e300, Some(Less)),
            (i128::MIN, f64::NEG_INFINITY, Some(Greater)),
            (1, f64::NAN, None),
        ] {
            let (whole, float) = (Number::Int(whole), Number::Float(float));
            assert_eq!(whole.compare(&float), expected, "{whole} {float}");
            assert_eq!(float.compare(&whole), expected.map(Ordering::reverse), "{whole} {float}");
        }
    }

    #[test]
    fn whole_numbers_of_any_size_keep_their_digits() {
        let huge = Number::of_digits("-0012345678901234567890123456789012345678901234567890");
        assert_eq!(huge.to_string(), "-12345678901234567890123456789012345678901234567890");
        assert_eq!(huge.compare(&Number::Int(i128::MIN)), Some(Ordering::Less));
        assert_eq!(Number::truncated(1e23).to_string(), "99999999999999991611392");
        assert_eq!(Number::truncated(-3.9), Number::Int(-3));
        assert_eq!(Number::truncated(-0.5), Number::Int(0));
    }
}

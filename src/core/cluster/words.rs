//! Words that go with a number.

/// `1 VM`, `2 VMs`.
pub fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A number without a needless `.0`, which reads back as the same.
pub fn decimal(x: f64) -> String {
    // Beyond this a float has no digits after the point, and TOML's integers end not far above.
    if x.fract() == 0.0 && x.abs() < 9e15 { format!("{x:.0}") } else { format!("{x:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for x in [50.0, -3.0, 0.5, 1e-9, 1.5e300, 123_456_789.25, f64::MIN_POSITIVE] {
            assert_eq!(decimal(x).parse(), Ok(x));
            assert!(toml::from_str::<toml::Table>(&format!("x = {}", decimal(x))).is_ok(), "{}", decimal(x));
        }
        assert_eq!((decimal(50.0), decimal(0.1)), ("50".to_owned(), "0.1".to_owned()));
    }
}

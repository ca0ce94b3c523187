//! Split arithmetic: pure, exact, and total.
//!
//! Whatever the bounds, the ranges made here are disjoint and their union holds every key: the
//! first is open below, the last open above, neighbours share one point, and NULL keys have a range
//! of their own. Only with bounds of the user's own (`--boundary-query`) are the ends closed.

use rsqoop_connector::{Bounds, Error, ErrorKind, KeyRange, KeyValue, Result, SplitKey};

/// Most ranges one plan may have; a smaller `--split-limit` than that allows is refused.
pub(crate) const MAX_RANGES: u128 = 100_000;

const MICROS_PER_SECOND: u128 = 1_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// What decides the number of ranges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SplitWish {
    /// Ranges wanted.
    pub(crate) pieces: usize,
    /// Widest range in key units or seconds; 0 is no limit (Sqoop's `--split-limit`).
    pub(crate) limit: u64,
    /// The bounds are the user's own: rows outside are left out.
    pub(crate) closed: bool,
    /// Rows with a NULL key may exist.
    pub(crate) nullable: bool,
}

/// Cuts a key's extent into ranges.
///
/// # Errors
/// `Usage` for a split limit on a key without arithmetic, or one that makes too many ranges;
/// `Usage` for user bounds whose minimum is above the maximum.
pub(crate) fn ranges(key: &SplitKey, bounds: &Bounds, wish: SplitWish) -> Result<Vec<KeyRange>> {
    let (points, ends) = match bounds {
        Bounds::Empty => (Vec::new(), None),
        Bounds::Range { min, max } => {
            let points = interior_points(min, max, wish)?;
            (points, wish.closed.then(|| (min.clone(), max.clone())))
        }
        Bounds::Points(points) => {
            if wish.limit > 0 {
                return Err(Error::new(
                    ErrorKind::Usage,
                    "--split-limit needs a key that the database stores as a number, date or timestamp",
                )
                .context("split by", key.expr.clone())
                .hint("leave --split-limit out, or split by another column"));
            }
            match (wish.closed, points.as_slice()) {
                (true, [min, inner @ .., max]) => {
                    (inner.to_vec(), Some((min.clone(), max.clone())))
                }
                (true, [only]) => (Vec::new(), Some((only.clone(), only.clone()))),
                _ => (points.clone(), None),
            }
        }
    };
    let mut ranges = Vec::with_capacity(points.len() + 2);
    if points.is_empty() && ends.is_none() && !(wish.closed && *bounds == Bounds::Empty) {
        // One range needs no condition at all, and so cannot lose a row.
        return Ok(vec![KeyRange::All]);
    }
    let (first, last) = match ends {
        Some((min, max)) => (Some(min), Some(max)),
        None => (None, None),
    };
    let mut lower = first;
    for point in points {
        ranges.push(KeyRange::Between {
            key: key.clone(),
            lower: lower.replace(point.clone()),
            upper: Some(point),
            upper_inclusive: false,
        });
    }
    let bounded = wish.closed && *bounds == Bounds::Empty;
    if !bounded {
        let upper_inclusive = last.is_some();
        ranges.push(KeyRange::Between { key: key.clone(), lower, upper: last, upper_inclusive });
    }
    // Sqoop: a boundary query that answers NULL reads the rows whose key is NULL.
    if (wish.nullable && !wish.closed) || bounded {
        ranges.push(KeyRange::Null(key.clone()));
    }
    Ok(ranges)
}

/// The points strictly between `min` and `max` that cut it evenly.
fn interior_points(min: &KeyValue, max: &KeyValue, wish: SplitWish) -> Result<Vec<KeyValue>> {
    let line = Line::new(min, max)?;
    let (low, high) = (line.low, line.high);
    if low > high {
        return Err(Error::new(
            ErrorKind::Usage,
            "the boundary query's minimum is above its maximum",
        )
        .hint("the query must select MIN(key), MAX(key) in this order"));
    }
    // `high - low` may exceed i128, never u128.
    let span = high.wrapping_sub(low).cast_unsigned();
    let mut pieces = (wish.pieces.max(1) as u128).min(span.saturating_add(1));
    if let Some(limit) = line.limit(wish.limit) {
        pieces = pieces.max(span.div_ceil(limit.max(1)));
        if pieces > MAX_RANGES {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("--split-limit {} would make {pieces} splits", wish.limit),
            )
            .hint(format!("choose a limit that makes at most {MAX_RANGES}")));
        }
    }
    let (step, rest) = (span / pieces, span % pieces);
    let mut points: Vec<i128> = (1..pieces)
        .map(|i| low.wrapping_add((step * i + i.min(rest)).cast_signed()))
        .filter(|p| *p > low)
        .collect();
    points.dedup();
    Ok(points.into_iter().map(|p| line.value(p)).collect())
}

/// A key type with arithmetic, laid on the integers.
struct Line {
    low: i128,
    high: i128,
    kind: LineKind,
}

enum LineKind {
    Integer,
    Decimal(u8),
    Date,
    Timestamp,
    TimestampTz,
}

impl Line {
    fn new(min: &KeyValue, max: &KeyValue) -> Result<Line> {
        let (low, high, kind) = match (min, max) {
            (KeyValue::Integer(a), KeyValue::Integer(b)) => (*a, *b, LineKind::Integer),
            (KeyValue::Date(a), KeyValue::Date(b)) => {
                (i128::from(*a), i128::from(*b), LineKind::Date)
            }
            (KeyValue::Timestamp(a), KeyValue::Timestamp(b)) => {
                (i128::from(*a), i128::from(*b), LineKind::Timestamp)
            }
            (KeyValue::TimestampTz(a), KeyValue::TimestampTz(b)) => {
                (i128::from(*a), i128::from(*b), LineKind::TimestampTz)
            }
            (
                KeyValue::Decimal { unscaled: a, scale: sa },
                KeyValue::Decimal { unscaled: b, scale: sb },
            ) => {
                let scale = *sa.max(sb);
                match (rescale(*a, *sa, scale), rescale(*b, *sb, scale)) {
                    (Some(a), Some(b)) => (a, b, LineKind::Decimal(scale)),
                    _ => {
                        return Err(Error::new(
                            ErrorKind::Unsupported,
                            "the decimal key's bounds are too far apart to be cut by arithmetic",
                        )
                        .hint("choose another --split-by column, or -m 1"));
                    }
                }
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::Bug,
                    "the bounds of a split key are of different types",
                ));
            }
        };
        Ok(Line { low, high, kind })
    }

    fn value(&self, point: i128) -> KeyValue {
        match self.kind {
            LineKind::Integer => KeyValue::Integer(point),
            LineKind::Decimal(scale) => KeyValue::Decimal { unscaled: point, scale },
            // Points lie between two values of the type, so they fit it.
            LineKind::Date => KeyValue::Date(i32::try_from(point).unwrap_or(i32::MAX)),
            LineKind::Timestamp => KeyValue::Timestamp(i64::try_from(point).unwrap_or(i64::MAX)),
            LineKind::TimestampTz => {
                KeyValue::TimestampTz(i64::try_from(point).unwrap_or(i64::MAX))
            }
        }
    }

    /// The split limit in units of this line; `None` without one.
    fn limit(&self, limit: u64) -> Option<u128> {
        if limit == 0 {
            return None;
        }
        Some(match self.kind {
            LineKind::Integer => u128::from(limit),
            LineKind::Decimal(scale) => {
                u128::from(limit).saturating_mul(10_u128.saturating_pow(u32::from(scale)))
            }
            LineKind::Date => u128::from((limit / SECONDS_PER_DAY).max(1)),
            LineKind::Timestamp | LineKind::TimestampTz => u128::from(limit) * MICROS_PER_SECOND,
        })
    }
}

fn rescale(value: i128, from: u8, to: u8) -> Option<i128> {
    value.checked_mul(10_i128.checked_pow(u32::from(to - from))?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SplitKey {
        SplitKey::new("k".to_string(), None)
    }

    fn wish(pieces: usize) -> SplitWish {
        SplitWish { pieces, limit: 0, closed: false, nullable: true }
    }

    fn integers(min: i128, max: i128) -> Bounds {
        Bounds::Range { min: KeyValue::Integer(min), max: KeyValue::Integer(max) }
    }

    /// The place of a key.
    fn place(key: &KeyValue) -> i128 {
        match key {
            KeyValue::Integer(n) | KeyValue::Decimal { unscaled: n, .. } => *n,
            KeyValue::Date(days) => i128::from(*days),
            KeyValue::Timestamp(us) | KeyValue::TimestampTz(us) => i128::from(*us),
            other => panic!("{other:?}"),
        }
    }

    /// How many ranges hold the key at a place; `None` is NULL.
    fn holders(ranges: &[KeyRange], value: Option<i128>) -> usize {
        ranges
            .iter()
            .filter(|range| match (range, value) {
                (KeyRange::All, _) | (KeyRange::Null(_), None) => true,
                (KeyRange::Between { lower, upper, upper_inclusive, .. }, Some(v)) => {
                    lower.as_ref().is_none_or(|l| place(l) <= v)
                        && upper
                            .as_ref()
                            .is_none_or(|u| v < place(u) || (*upper_inclusive && v == place(u)))
                }
                _ => false,
            })
            .count()
    }

    #[test]
    fn sqoops_own_examples_are_cut_at_the_same_points() {
        let points = |n, min, max| -> Vec<i128> {
            interior_points(&KeyValue::Integer(min), &KeyValue::Integer(max), wish(n))
                .unwrap()
                .into_iter()
                .map(|v| match v {
                    KeyValue::Integer(i) => i,
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(points(4, 0, 1000), [250, 500, 750]);
        assert_eq!(points(4, 1, 10), [4, 6, 8]);
        assert_eq!(points(4, -5, 5), [-2, 1, 3]);
        assert_eq!(points(10, 0, 95), [10, 20, 30, 40, 50, 59, 68, 77, 86]);
    }

    #[test]
    fn the_widest_ranges_do_not_overflow() {
        for (min, max) in [
            (i128::from(i64::MIN), i128::from(i64::MAX)),
            (0, i128::from(u64::MAX)),
            (i128::MIN, i128::MAX),
        ] {
            let ranges = ranges(&key(), &integers(min, max), wish(16)).unwrap();
            assert_eq!(ranges.len(), 17);
            for v in [min, min + 1, -1, 0, 1, max - 1, max] {
                assert_eq!(holders(&ranges, Some(v)), 1, "{v} in {min}..{max}");
            }
        }
    }

    #[test]
    fn one_range_and_an_empty_table_read_everything() {
        for bounds in [Bounds::Empty, integers(7, 7), Bounds::Points(vec![])] {
            let ranges = ranges(&key(), &bounds, wish(4)).unwrap();
            assert!(matches!(ranges.as_slice(), [KeyRange::All]), "{bounds:?}");
        }
    }

    #[test]
    fn user_bounds_are_closed_and_leave_nulls_out() {
        let wish = SplitWish { closed: true, ..wish(3) };
        let closed = ranges(&key(), &integers(10, 40), wish).unwrap();
        assert_eq!(closed.len(), 3);
        for (v, n) in [(Some(9), 0), (Some(10), 1), (Some(40), 1), (Some(41), 0), (None, 0)] {
            assert_eq!(holders(&closed, v), n, "{v:?}");
        }
        assert!(ranges(&key(), &integers(2, 1), wish).is_err());
        let none = ranges(&key(), &Bounds::Empty, wish).unwrap();
        assert!(matches!(none.as_slice(), [KeyRange::Null(_)]));
    }

    #[test]
    fn a_split_limit_raises_the_number_of_ranges() {
        let limited = |limit, min, max| {
            ranges(&key(), &integers(min, max), SplitWish { limit, nullable: false, ..wish(5) })
        };
        assert_eq!(limited(10, 0, 100).unwrap().len(), 10);
        assert_eq!(limited(1000, 0, 100).unwrap().len(), 5);
        assert!(limited(1, 0, 1 << 40).is_err());
        let days = Bounds::Range { min: KeyValue::Date(0), max: KeyValue::Date(10) };
        let wish = SplitWish { limit: 86_400 * 2, nullable: false, ..wish(1) };
        assert_eq!(ranges(&key(), &days, wish).unwrap().len(), 5);
    }

    /// Name, first and last place, and the key at a place of the integers.
    type ArithmeticType = (&'static str, i128, i128, fn(i128) -> KeyValue);

    /// The types that have arithmetic.
    const TYPES: [ArithmeticType; 7] = [
        ("bigint", i64::MIN as i128, i64::MAX as i128, KeyValue::Integer),
        ("unsigned bigint", 0, u64::MAX as i128, KeyValue::Integer),
        ("decimal(38,0)", -DIGITS_38, DIGITS_38, |n| KeyValue::Decimal { unscaled: n, scale: 0 }),
        ("decimal(38,10)", -DIGITS_38, DIGITS_38, |n| KeyValue::Decimal { unscaled: n, scale: 10 }),
        ("date", -2_440_588, 2_145_042_541, |n| KeyValue::Date(i32::try_from(n).unwrap())),
        ("timestamp", i64::MIN as i128, i64::MAX as i128, |n| {
            KeyValue::Timestamp(i64::try_from(n).unwrap())
        }),
        ("timestamptz", i64::MIN as i128, i64::MAX as i128, |n| {
            KeyValue::TimestampTz(i64::try_from(n).unwrap())
        }),
    ];
    const DIGITS_38: i128 = 10_i128.pow(38) - 1;

    /// A key set: near together, far apart, at the ends of the type, or all the same.
    fn key_set(random: &mut impl FnMut() -> u64, low: i128, high: i128) -> Vec<i128> {
        let span = high.wrapping_sub(low).cast_unsigned();
        let anywhere = |random: &mut dyn FnMut() -> u64| {
            let wide = (u128::from(random()) << 64) | u128::from(random());
            low.wrapping_add((wide % span.saturating_add(1)).cast_signed())
        };
        let (shape, size, center) = (random() % 5, random() % 16 + 1, anywhere(random));
        (0..size)
            .map(|_| match shape {
                0 => anywhere(random),
                1 => center.saturating_add(i128::from(random() % 20)).min(high),
                2 if !random().is_multiple_of(10) => center,
                2 => anywhere(random),
                3 if random().is_multiple_of(2) => low + i128::from(random() % 3),
                3 => high - i128::from(random() % 3),
                _ => center,
            })
            .collect()
    }

    #[test]
    fn a_hundred_thousand_key_sets_of_each_type_have_neither_gap_nor_overlap() {
        for (name, low, high, value) in TYPES {
            let mut state = name
                .bytes()
                .fold(0x9E37_79B9_7F4A_7C15_u64, |s, b| s.rotate_left(8) ^ u64::from(b));
            // xorshift64*
            let mut random = || {
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                state.wrapping_mul(0x2545_F491_4F6C_DD1D)
            };
            for _ in 0..100_000 {
                let keys = key_set(&mut random, low, high);
                let (min, max) = (*keys.iter().min().unwrap(), *keys.iter().max().unwrap());
                let pieces = usize::try_from(random() % 65 + 1).unwrap();
                let bounds = Bounds::Range { min: value(min), max: value(max) };
                let ranges = ranges(&key(), &bounds, wish(pieces)).unwrap();
                let mut probes = keys;
                for range in &ranges {
                    if let KeyRange::Between { lower: Some(point), .. } = range {
                        probes.extend([place(point), place(point) - 1]);
                    }
                }
                probes.extend([min.saturating_sub(1), max.saturating_add(1)]);
                for n in probes {
                    assert_eq!(
                        holders(&ranges, Some(n)),
                        1,
                        "{name}: {n} of {min}..{max} in {pieces} pieces"
                    );
                }
                assert_eq!(holders(&ranges, None), 1, "{name}: NULL");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn every_key_is_in_exactly_one_range(
            a in any::<i64>(), b in any::<i64>(), pieces in 1_usize..70, keys in prop::collection::vec(any::<i64>(), 0..20)
        ) {
            let (min, max) = (i128::from(a.min(b)), i128::from(a.max(b)));
            let ranges = ranges(&key(), &integers(min, max), wish(pieces)).unwrap();
            prop_assert!(ranges.len() <= pieces + 1);
            prop_assert_eq!(holders(&ranges, None), 1);
            for v in keys.into_iter().map(i128::from).chain([min, max, min - 1, max + 1]) {
                prop_assert_eq!(holders(&ranges, Some(v)), 1);
            }
            // Boundary points themselves are where an off-by-one would show.
            for range in &ranges {
                if let KeyRange::Between { lower: Some(KeyValue::Integer(l)), .. } = range {
                    prop_assert_eq!(holders(&ranges, Some(*l)), 1);
                    prop_assert_eq!(holders(&ranges, Some(*l - 1)), 1);
                }
            }
        }

        #[test]
        fn small_ranges_never_repeat_a_point(min in -50_i128..50, width in 0_i128..20, pieces in 1_usize..40) {
            let points = interior_points(&KeyValue::Integer(min), &KeyValue::Integer(min + width), wish(pieces)).unwrap();
            let numbers: Vec<i128> = points.iter().map(|v| match v { KeyValue::Integer(i) => *i, _ => unreachable!() }).collect();
            prop_assert!(numbers.windows(2).all(|w| w[0] < w[1]));
            prop_assert!(numbers.iter().all(|p| *p > min && *p <= min + width));
        }
    }
}

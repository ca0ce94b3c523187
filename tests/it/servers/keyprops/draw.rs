//! Makes key sets: small ones of any shape, as SQL literals.

use crate::support::Random;

/// Most keys of a usual set.
const USUAL: u64 = 20;
/// Keys of a large one.
const LARGE: u64 = 150;
/// Pieces of texts, chosen for what collations, quoting and escaping make of them.
const LETTERS: [&str; 26] = [
    "a", "A", "b", "B", "z", "Z", "ä", "Ä", "a\u{308}", "ß", "ss", "é", "e", " ", "-", "_", "%",
    "'", "\\", "\"", "0", "9", "10", "漢", "😀", "ı",
];

/// A kind of key: its columns and how it is cut.
pub(super) struct Kind {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// The expression to cut by, where it is not the columns themselves.
    pub(super) by: Option<&'static str>,
    /// An index on the columns can be made.
    pub(super) indexed: bool,
}

/// A column of a key and where its values come from.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) ddl: &'static str,
    pub(super) values: Values,
    /// Values at the edges, as SQL.
    pub(super) edges: &'static [&'static str],
}

#[derive(Clone)]
pub(super) enum Values {
    /// Laid on the integers from the first to the second; the function spells one.
    Line(i128, i128, fn(i128) -> String),
    /// Texts; the function spells a literal.
    Texts(fn(&str) -> String),
}

/// Rows of key columns, as SQL: `1, 'a'`.
pub(super) struct KeySet(pub(super) Vec<String>);

impl Kind {
    pub(super) fn nullable(&self) -> bool {
        self.columns.len() == 1
    }

    /// A key set of some shape.
    pub(super) fn set(&self, random: &mut Random) -> KeySet {
        let size = match random.below(50) {
            0 => LARGE,
            _ => random.below(USUAL + 1),
        };
        let shapes: Vec<Shape> = self.columns.iter().map(|c| Shape::any(c, random)).collect();
        let nulls = if self.nullable() { random.below(6) } else { 0 };
        let is_null = |random: &mut Random| match nulls {
            4 => random.below(4) == 0,
            5 => random.below(20) > 0,
            _ => false,
        };
        let row = |random: &mut Random| -> String {
            if is_null(random) {
                return "NULL".to_string();
            }
            let values: Vec<String> =
                self.columns.iter().zip(&shapes).map(|(c, shape)| c.value(shape, random)).collect();
            values.join(", ")
        };
        KeySet((0..size).map(|_| row(random)).collect())
    }
}

/// How the values of a set lie.
enum Shape {
    /// Anywhere.
    Spread,
    /// Near one place.
    Cluster(i128),
    /// Anywhere, but nine of ten are one value.
    Skewed(String),
    /// One of a few.
    Few(Vec<String>),
    /// At the ends of the type.
    Edges,
}

impl Shape {
    fn any(column: &Column, random: &mut Random) -> Shape {
        match random.below(8) {
            0 | 1 => Shape::Spread,
            2 | 3 => Shape::Cluster(column.anywhere(random)),
            4 => Shape::Skewed(column.value(&Shape::Spread, random)),
            5 => Shape::Few(vec![column.value(&Shape::Spread, random)]),
            6 => Shape::Few((0..3).map(|_| column.value(&Shape::Spread, random)).collect()),
            _ => Shape::Edges,
        }
    }
}

impl Column {
    fn value(&self, shape: &Shape, random: &mut Random) -> String {
        match (shape, &self.values) {
            (Shape::Skewed(value), _) if random.below(10) > 0 => value.clone(),
            (Shape::Few(values), _) => values[index(values.len(), random)].clone(),
            (Shape::Edges, _) if !self.edges.is_empty() && random.below(4) > 0 => {
                self.edges[index(self.edges.len(), random)].to_string()
            }
            (Shape::Edges, Values::Line(low, high, spell)) => {
                let near = i128::from(random.below(3)).min(high - low);
                spell(if random.below(2) == 0 { low + near } else { high - near })
            }
            (Shape::Cluster(around), Values::Line(low, high, spell)) => {
                spell((around + i128::from(random.below(12))).clamp(*low, *high))
            }
            (_, Values::Line(_, _, spell)) => spell(self.anywhere(random)),
            (Shape::Cluster(around), Values::Texts(spell)) => {
                let begin = LETTERS[usize::try_from(around % 26).expect("small")].repeat(3);
                spell(&format!("{begin}{}", text(random, 2)))
            }
            (_, Values::Texts(spell)) => spell(&text(random, 6)),
        }
    }

    fn anywhere(&self, random: &mut Random) -> i128 {
        let (low, high) = match self.values {
            Values::Line(low, high, _) => (low, high),
            Values::Texts(_) => (0, 25),
        };
        let wide = (0..4).fold(0_u128, |sum, _| (sum << 31) ^ u128::from(random.below(1 << 31)));
        // Small numbers as often as large ones, where the type has both.
        let span = (high - low).cast_unsigned().saturating_add(1);
        let n = low + (wide % span).cast_signed();
        if random.below(3) == 0 { (n % 1000).clamp(low, high) } else { n }
    }
}

fn index(len: usize, random: &mut Random) -> usize {
    usize::try_from(random.below(len as u64)).expect("an index")
}

fn text(random: &mut Random, most: u64) -> String {
    (0..random.below(most + 1)).map(|_| LETTERS[index(LETTERS.len(), random)]).collect()
}
